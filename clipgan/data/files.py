"""A data set of captioned image files: its split, its fingerprint, and reading with bad files named."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from clipgan.config import DataConfig
from clipgan.data.pack import SPLITS, Record, Source, square

VERSION = 1  # part of the packed set's cache key: raise it when the same files would be packed otherwise


class CaptionedFile(NamedTuple):
    """An image file and its captions; without captions it is refused by name."""

    path: Path
    captions: list[str]


def source(config: DataConfig, files: Sequence[CaptionedFile]) -> Source:
    """The data set of `files`, split at random by `config.seed`.

    Its fingerprint covers names, sizes and times of the images, not their bytes: reading those would take as long as
    packing them.
    """
    captioned = [file for file in files if file.captions]
    split = split_indices(len(captioned), config.heldout_fraction, config.seed)

    def read(name: str, resolution: int) -> Iterator[Record | str]:
        for index in split[name]:
            yield read_record(captioned[index], resolution)

    description = {
        "name": config.name,
        "version": VERSION,
        "files": fingerprint(files),
        "heldout_fraction": config.heldout_fraction,
        "seed": config.seed,
    }
    skipped = [f"{file.path}: no caption" for file in files if not file.captions]
    return Source(description, {name: len(split[name]) for name in SPLITS}, read, skipped)


def split_indices(count: int, heldout_fraction: float, seed: int) -> dict[str, np.ndarray]:
    """A random partition of `count` >= 2 items into the two splits, each sorted and not empty."""
    order = np.random.default_rng(seed).permutation(count)
    n_heldout = min(max(1, round(count * heldout_fraction)), count - 1)
    return {"heldout": np.sort(order[:n_heldout]), "train": np.sort(order[n_heldout:])}


def fingerprint(files: Sequence[CaptionedFile]) -> str:
    """A digest of the files' paths, sizes, modification times and captions."""
    state = hashlib.sha256()
    root = os.path.commonpath([file.path.parent.absolute() for file in files])
    for file in files:
        stat = file.path.stat()
        state.update(
            repr((os.path.relpath(file.path.absolute(), root), stat.st_size, stat.st_mtime_ns, file.captions)).encode()
        )
    return state.hexdigest()[:16]


def read_record(file: CaptionedFile, resolution: int) -> Record | str:
    """The image at the target resolution, or a sentence that says why it cannot be used."""
    try:
        with Image.open(file.path) as image:
            return Record(square(image, resolution), file.captions)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        return f"{file.path}: unreadable image ({error})"
