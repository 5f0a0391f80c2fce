"""CLIP features that came with a data set, kept beside its packed images until a backbone is there to judge them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clipgan.inputs.data.memory_maps import forget

FILES = {"image": "stored_image.npy", "text": "stored_text.npy"}
WORDS = "stored.json"
CHUNK = 4096  # rows


@dataclass(frozen=True)
class StoredFeatures:
    """Shapes: N images, M captions, C width."""

    image: np.ndarray | None  # float32 [N, C], unit length
    text: np.ndarray | None  # float32 [M, C], unit length
    has_words: bool  # whether the captions are there as words too; else they are names for rows of `text`


def stored_rows(directory: Path, kind: str, count: int, width: int) -> np.ndarray:
    """Room for features of a `kind` (image or text) beside the packed images in `directory`: float32 [count, width], to
    be filled; memory-mapped, for they may be gigabytes.
    """
    return np.lib.format.open_memmap(directory / FILES[kind], mode="w+", dtype=np.float32, shape=(count, width))


def finish_stored(directory: Path, rows: Mapping[str, np.ndarray | None], has_words: bool) -> None:
    """Bring the rows of each kind to unit length; None: they turned out to be incomplete, and their file is removed."""
    for kind, file in FILES.items():
        filled = rows[kind]
        if filled is None:
            (directory / file).unlink(missing_ok=True)
            continue
        for start in range(0, len(filled), CHUNK):
            part = filled[start : start + CHUNK]
            part /= np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12)
            forget(filled)
    (directory / WORDS).write_text(json.dumps({"has_words": has_words}))


def read_stored(directory: Path) -> StoredFeatures | None:
    """What `write_stored` left there, memory-mapped; None if it never was there."""
    if not (directory / WORDS).is_file():
        return None
    image, text = (
        np.load(directory / file, mmap_mode="r") if (directory / file).is_file() else None for file in FILES.values()
    )
    return StoredFeatures(image, text, **json.loads((directory / WORDS).read_text()))
