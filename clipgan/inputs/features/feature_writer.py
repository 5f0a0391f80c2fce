"""Writing features in chunks: memory does not grow with their number, and an interruption costs little.

A note beside the rows counts those that are on the disk: rows are flushed first, then the note is replaced. A kill or a
power cut therefore costs the rows since the last note.

Rows are float16, which has 11 significant bits. Rounding moves a number by at most 2^-11 of itself (a number below
2^-14 by at most 2^-25). A row of unit length therefore moves by at most `ROW_ERROR`, and so does its cosine with any
other row. The largest error that occurred is stored beside the rows.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from clipgan.base.console import console, track
from clipgan.base.durable_files import flush_file, replace_text, reserve
from clipgan.base.errors import DivergenceError
from clipgan.base.text import first_line

# The second summand covers up to 4,096 numbers that are too small for 11 bits: together they move by at most
# 2^-25 sqrt(4096) = 2^-19, at right angles to the rest. The total sqrt(2^-22 + 2^-38) is less than this bound.
ROW_ERROR = 2.0**-11 + 2.0**-20

NOTE_SHARE = 0.05  # most of the time that notes take: a flush of a slow disk takes longer than a small encoder's chunk

Encode = Callable[[Sequence[range]], Iterator[np.ndarray]]  # row numbers of each chunk -> features of each chunk


def write_features(
    directory: Path,
    name: str,
    shape: tuple[int, ...],
    chunk: int,
    encode: Encode,
    description: str,
) -> None:
    """Fill `NAME.npy` in `directory`; continue what an interrupted call left there.

    Args:
        directory: the directory of the file.
        name: the file's name without suffix; `NAME.json` beside it has the number of finished rows and the largest
            rounding error of a row (a length).
        shape: [N, C] or [F, N, C], rows of unit length.
        chunk: number of rows that are encoded at a time.
        encode: yields the float32 rows of one chunk after the other: [n, C] or [F, n, C].
        description: the title of the progress display.

    Raises:
        DivergenceError: a row is not finite.
    """
    path, note = directory / f"{name}.npy", directory / f"{name}.json"
    planes, (total, width) = shape[:-2], shape[-2:]
    done, error = _noted(path, note, shape)
    if done == 0:
        note.unlink(missing_ok=True)
        _create(path, shape)
    chunks = [range(start, min(start + chunk, total)) for start in range(done, total, chunk)]
    with path.open("r+b") as file:  # not a memory map, whose pages would count as memory of this process
        header = os.fstat(file.fileno()).st_size - 2 * int(np.prod(shape))
        shown = track(encode(chunks), description, total, size=chunk, done=done)
        next_note = 0.0
        try:
            for place, rows in zip(chunks, shown, strict=True):
                rounded = rows.astype(np.float16)
                if not np.isfinite(rounded).all():
                    raise DivergenceError(f"{description}: a number in the rows from {place.start} on is not finite")
                for plane, part in enumerate(rounded.reshape(*(planes or (1,)), len(place), width)):
                    file.seek(header + 2 * width * (plane * total + place.start))
                    file.write(part.tobytes())
                moved = np.linalg.norm(rows - rounded.astype(np.float32), axis=-1)
                done, error = place.stop, max(error, float(moved.max()))
                if (start := time.monotonic()) >= next_note:
                    _save(file, note, done, error)
                    end = time.monotonic()
                    next_note = end + (end - start) / NOTE_SHARE
        finally:
            _save(file, note, done, error)


def _create(path: Path, shape: tuple[int, ...]) -> None:
    """Write a file of zeros; its blocks are reserved, so that a full disk shows now."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float16)), "fortran_order": False, "shape": shape}
        )
        file.flush()
        reserve(file, file.tell() + 2 * int(np.prod(shape)))


def _noted(path: Path, note: Path, shape: tuple[int, ...]) -> tuple[int, float]:
    """Read the number of finished rows and the largest error so far; (0, 0.0) without a whole file and its note."""
    if not note.exists():
        return 0, 0.0
    try:
        state = json.loads(note.read_text())
        rows, largest = int(state["rows"]), float(state["largest_error"])
        if np.load(path, mmap_mode="r").shape == shape and 0 <= rows <= shape[-2]:
            return rows, largest
        reason = "it has another shape"
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        reason = first_line(error)
    console.print(f"cache: {path} is damaged ({reason}): beginning it anew")
    return 0, 0.0


def _save(file: BinaryIO, note: Path, rows: int, error: float) -> None:
    """Flush the rows to the disk, then note them."""
    flush_file(file)
    replace_text(note, json.dumps({"rows": rows, "largest_error": error}) + "\n")
