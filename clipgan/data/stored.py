"""CLIP features that came with a data set, kept beside its packed images until a backbone is there to judge them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FILES = {"image": "stored_image.npy", "text": "stored_text.npy"}
WORDS = "stored.json"


@dataclass(frozen=True)
class StoredFeatures:
    """Shapes: N images, M captions, C width."""

    image: np.ndarray | None  # float32 [N, C], unit length
    text: np.ndarray | None  # float32 [M, C], unit length
    has_words: bool  # whether the captions are there as words too; else they are names for rows of `text`


def write_stored(directory: Path, image: np.ndarray | None, text: np.ndarray | None, has_words: bool) -> None:
    """Put features [rows, C], of any length, beside the packed images in `directory`."""
    for name, rows in (("image", image), ("text", text)):
        if rows is not None:
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            np.save(directory / FILES[name], rows / np.maximum(lengths, 1e-12))
    (directory / WORDS).write_text(json.dumps({"has_words": has_words}))


def read_stored(directory: Path) -> StoredFeatures | None:
    """What `write_stored` left there, memory-mapped; None if it never was there."""
    if not (directory / WORDS).is_file():
        return None
    image, text = (
        np.load(directory / file, mmap_mode="r") if (directory / file).is_file() else None for file in FILES.values()
    )
    return StoredFeatures(image, text, **json.loads((directory / WORDS).read_text()))
