"""Writing features in chunks: memory does not grow with their number, and an interruption costs one chunk.

Rows are float16, which has 11 significant bits. Rounding moves a number by at most 2^-11 of itself (a number below
2^-14 by at most 2^-25). A row of unit length therefore moves by at most `ROW_ERROR`, and so does its cosine with any
other row. The largest error that occurred is stored beside the rows.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from clipgan.base.console import track
from clipgan.base.errors import DivergenceError

# The second summand covers up to 4,096 numbers that are too small for 11 bits: together they move by at most
# 2^-25 sqrt(4096) = 2^-19, at right angles to the rest. The total sqrt(2^-22 + 2^-38) is less than this bound.
ROW_ERROR = 2.0**-11 + 2.0**-20

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
        chunk: number of rows that are encoded and noted at a time.
        encode: yields the float32 rows of one chunk after the other: [n, C] or [F, n, C].
        description: the title of the progress display.

    Raises:
        DivergenceError: a row is not finite.
    """
    path, note = directory / f"{name}.npy", directory / f"{name}.json"
    planes, (total, width) = shape[:-2], shape[-2:]
    done, error = _noted(path, note, shape)
    if done == 0:
        np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        _save(note, 0, 0.0)
    chunks = [range(start, min(start + chunk, total)) for start in range(done, total, chunk)]
    with path.open("r+b") as file:  # not a memory map, whose pages would count as memory of this process
        header = os.fstat(file.fileno()).st_size - 2 * int(np.prod(shape))
        shown = track(encode(chunks), description, total, size=chunk, done=done)
        for place, rows in zip(chunks, shown, strict=True):
            rounded = rows.astype(np.float16)
            if not np.isfinite(rounded).all():
                raise DivergenceError(f"{description}: a number in the rows from {place.start} on is not finite")
            for plane, part in enumerate(rounded.reshape(*(planes or (1,)), -1, width)):
                file.seek(header + 2 * width * (plane * total + place.start))
                file.write(part.tobytes())
            file.flush()
            moved = np.linalg.norm(rows - rounded.astype(np.float32), axis=-1)
            error = max(error, float(moved.max()))
            _save(note, place.stop, error)


def _noted(path: Path, note: Path, shape: tuple[int, ...]) -> tuple[int, float]:
    """Read the number of finished rows and the largest error so far; (0, 0.0) without a whole file and its note."""
    try:
        state = json.loads(note.read_text())
        if np.load(path, mmap_mode="r").shape == shape:
            return state["rows"], state["largest_error"]
    except (OSError, ValueError):
        pass
    return 0, 0.0


def _save(note: Path, rows: int, error: float) -> None:
    new = note.with_suffix(".new")
    new.write_text(json.dumps({"rows": rows, "largest_error": error}) + "\n")
    new.replace(note)
