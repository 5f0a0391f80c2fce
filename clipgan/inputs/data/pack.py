"""Packed data sets: every image at one resolution in a memory-mapped array, beside its captions.

Shapes: N images, R resolution. An entry of the cache holds, for each split, `images.npy` (uint8 [N, 3, R, R]),
`captions.jsonl` (a list of strings a line) and `names.jsonl` (where each image came from), and for the whole
`skipped.txt` (a refused file and its reason a line) and `duplicates.txt` (two names of one picture a line).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clipgan.inputs.data.captions import CaptionFile
from clipgan.inputs.data.supplied_features import StoredFeatures, read_stored

SPLITS = ("train", "heldout")
FORMAT = 2  # part of the cache key: raise it when an entry holds other files
Extras = Callable[[Path, Sequence[str]], None]  # (a split's directory, the names of its images) -> more files


class Record(NamedTuple):
    """One captioned image."""

    image: np.ndarray  # uint8 [R, R, 3], sRGB
    captions: list[str]
    name: str = ""  # where it came from; none for a drawn one


@dataclass(frozen=True)
class Split:
    """The images of one split and their captions."""

    images: np.ndarray  # uint8 [N, 3, R, R], sRGB, memory-mapped read-only
    captions: Sequence[list[str]]  # N lists of at least one caption; all empty in a set without captions
    stored: StoredFeatures | None = None  # CLIP features that came with the data set
    names: Path | None = None  # a JSON string a line: where each image came from

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class PackedData:
    """A data set at one resolution."""

    name: str
    fingerprint: str  # changes whenever an image, a caption or the split does
    train: Split
    heldout: Split
    x_flip: bool  # whether a mirrored image still fits its caption
    skipped: list[str]  # files that could not be used, with the reason
    skipped_file: Path  # the same, one a line
    duplicates: Sequence[str] = ()  # images that are the same as an earlier one, which is named


@dataclass(frozen=True)
class Contents:
    """The images of a data set before they are packed."""

    sizes: Mapping[str, int]  # split -> number of images, before any is refused
    read: Callable[[str, int, int], Iterator[Record | str]]
    """(split, resolution, index of the first) -> its images in order; a string says why one is refused"""
    skipped: Sequence[str] = ()  # what was refused before, each with its reason
    extras: Mapping[str, Extras] = field(default_factory=dict)  # split -> writes what else is known of its images


@dataclass(frozen=True)
class Source:
    """A data set that may be packed already."""

    description: Mapping[str, Any]  # all that its images, captions and split depend on, as plain JSON values
    open: Callable[[], Contents]  # lists it, which may take a while


def open_pack(name: str, entry: Path, x_flip: bool) -> PackedData:
    """The packed data set in a cache entry; no image is read yet."""
    splits = {}
    for split in SPLITS:
        images = np.load(entry / split / "images.npy", mmap_mode="r")
        stored = read_stored(entry / split)
        splits[split] = Split(
            images, CaptionFile(entry / split / "captions.jsonl"), stored, entry / split / "names.jsonl"
        )
    skipped, duplicates = (
        (entry / f"{lines}.txt").read_text(encoding="utf-8").splitlines() for lines in ("skipped", "duplicates")
    )
    return PackedData(
        name=name, fingerprint=entry.name, x_flip=x_flip, skipped=skipped, skipped_file=entry / "skipped.txt",
        duplicates=duplicates, **splits,
    )  # fmt: skip
