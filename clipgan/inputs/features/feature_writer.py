"""Writing features chunk by chunk: memory stays the same however many there are, and an interruption costs one chunk.

Rows are float16, which has 11 significant bits: a number moves by at most 2^-11 of itself (those below 2^-14 by at most
2^-25), so a row of unit length moves by at most `ROW_ERROR`, and its cosine with any other by no more. What was
measured is kept beside the rows.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from clipgan.base.console import track
from clipgan.base.errors import DivergenceError

# The second part is for numbers too small for 11 bits, up to 4,096 of them: they move by 2^-25 sqrt(4096) = 2^-19, at
# right angles to the first, and so sqrt(2^-22 + 2^-38) together, which is less.
ROW_ERROR = 2.0**-11 + 2.0**-20

Encode = Callable[[Sequence[range]], Iterator[np.ndarray]]  # the numbers of rows in each chunk -> their features


def write_features(
    directory: Path,
    name: str,
    shape: tuple[int, ...],
    chunk: int,
    encode: Encode,
    description: str,
) -> None:
    """Fill `NAME.npy` in `directory`, going on with what an interrupted call left there.

    Args:
        directory: where the file lies.
        name: its name without suffix; `NAME.json` beside it says how many rows are done, and the largest length by
            which rounding moved one.
        shape: [N, C] or [F, N, C], rows of unit length.
        chunk: rows that are encoded, and noted, at once.
        encode: gives the float32 rows of one chunk after the other: [n, C] or [F, n, C].
        description: what the progress is called.

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
                raise DivergenceError(f"{description}: not all numbers of the rows from {place.start} on are finite")
            for plane, part in enumerate(rounded.reshape(*(planes or (1,)), -1, width)):
                file.seek(header + 2 * width * (plane * total + place.start))
                file.write(part.tobytes())
            file.flush()
            moved = np.linalg.norm(rows - rounded.astype(np.float32), axis=-1)
            error = max(error, float(moved.max()))
            _save(note, place.stop, error)


def _noted(path: Path, note: Path, shape: tuple[int, ...]) -> tuple[int, float]:
    """How many rows are done, and the largest error so far; none without a whole file and its note."""
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
