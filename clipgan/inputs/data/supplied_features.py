"""CLIP features that came with a data set, kept beside its packed images until a backbone can verify them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clipgan.base.durable_files import reserve
from clipgan.inputs.data.memory_maps import release_pages

FILES = {"image": "stored_image.npy", "text": "stored_text.npy"}
WORDS = "stored.json"
CHUNK = 4096  # rows


@dataclass(frozen=True)
class StoredFeatures:
    """Supplied features of one split. Shapes: N images, M captions, C width of CLIP's embedding."""

    image: np.ndarray | None  # float32 [N, C], unit length
    text: np.ndarray | None  # float32 [M, C], unit length
    has_words: bool  # True: the captions are real words; False: they are placeholders for rows of `text`
    missing: Mapping[str, str] = field(default_factory=dict)  # kind -> why there are no features of it


def stored_rows(directory: Path, kind: str, count: int, width: int) -> np.ndarray:
    """Create a file for features of a `kind` (image or text) beside the packed images in `directory`.

    Returns a writable memory map, since features may take gigabytes: float32 [count, width].

    Raises:
        OSError: the disk has no room for all rows.
    """
    path = directory / FILES[kind]
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(count, width))
    with path.open("r+b") as file:
        reserve(file, path.stat().st_size)
    return rows


def finish_stored(directory: Path, rows: Mapping[str, np.ndarray | str], has_words: bool) -> None:
    """Normalise the rows of each kind to unit length; a reason in place of rows removes the kind's file."""
    missing = {kind: why for kind, why in rows.items() if isinstance(why, str)}
    for kind, file in FILES.items():
        filled = rows[kind]
        if isinstance(filled, str):
            (directory / file).unlink(missing_ok=True)
            continue
        for start in range(0, len(filled), CHUNK):
            part = filled[start : start + CHUNK]
            part /= np.linalg.norm(part, axis=1, keepdims=True)
            release_pages(filled)
    (directory / WORDS).write_text(json.dumps({"has_words": has_words, "missing": missing}))


def read_stored(directory: Path) -> StoredFeatures | None:
    """Open the features that `finish_stored` completed, memory-mapped; return None if the data set brought none."""
    if not (directory / WORDS).is_file():
        return None
    image, text = (
        np.load(directory / file, mmap_mode="r") if (directory / file).is_file() else None for file in FILES.values()
    )
    return StoredFeatures(image, text, **json.loads((directory / WORDS).read_text()))
