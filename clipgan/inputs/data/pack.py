"""Packed data sets: all images at one resolution in a memory-mapped array, with their captions beside it.

Shapes: N images, R resolution. A cache entry holds for each split `images.npy` (uint8 [N, 3, R, R]),
`captions.jsonl` (a line is the list of an image's captions) and `names.jsonl` (a line is an image's source), and for
both splits `skipped.txt` (a line is a refused file and the reason), `duplicates.txt` (a line is two equal images) and
`notes.txt` (a line is a sentence about the whole set).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clipgan.inputs.data.content import identify
from clipgan.inputs.data.packed_captions import CaptionFile
from clipgan.inputs.data.supplied_features import StoredFeatures, read_stored

SPLITS = ("train", "heldout")
FORMAT = 2  # part of the cache key: raise it when the files of an entry change
Extras = Callable[[Path, Sequence[str]], None]  # writes more files: (split's directory, names of its images) -> None


class Record(NamedTuple):
    """One captioned image."""

    image: np.ndarray  # uint8 [R, R, 3], sRGB
    captions: list[str]
    name: str = ""  # where the image came from; empty for a drawn image


@dataclass(frozen=True)
class Split:
    """The images of one split and their captions."""

    images: np.ndarray  # uint8 [N, 3, R, R], sRGB, memory-mapped read-only
    captions: Sequence[list[str]]  # N lists of at least one caption each; all empty in a data set without captions
    stored: StoredFeatures | None = None  # CLIP features that came with the data set
    names: Path | None = None  # a file of JSON strings, one for each line: where each image came from

    def __len__(self) -> int:
        return len(self.images)

    @property
    def has_words(self) -> bool:
        """Whether the captions are text; without captions, or where only their features came with the data, not."""
        return any(self.captions) and (self.stored is None or self.stored.has_words)


@dataclass(frozen=True)
class PackedData:
    """A data set at one resolution."""

    name: str
    fingerprint: str  # changes whenever an image, a caption or the split changes; features are stored under it
    train: Split
    heldout: Split
    x_flip: bool  # whether a mirrored image still fits its caption
    skipped: list[str]  # unusable files, each with the reason
    skipped_file: Path  # a file of the same lines
    notes: Sequence[str] = ()  # sentences about what was done with the whole set, such as how it was split
    duplicates: Sequence[str] = ()  # images that repeat an earlier image, each with the earlier image's name
    entry: str = ""  # address of the cache entry; changes also when files are touched or moved
    content: str = ""  # digest of pixels, captions and names

    @property
    def sources(self) -> dict[str, str]:
        """What a checkpoint records to recognise the data."""
        return {"data.fingerprint": self.entry, "data.content": self.content}


@dataclass(frozen=True)
class Contents:
    """The images of a data set before they are packed."""

    sizes: Mapping[str, int]  # split -> number of images, refused ones included
    read: Callable[[str, int, int], Iterator[Record | str]]
    """(split, resolution, index of the first image) -> images in order; a string says why an image is refused"""
    skipped: Sequence[str] = ()  # files that the listing refused, each with the reason
    notes: Sequence[str] = ()  # sentences about the whole set
    extras: Mapping[str, Extras] = field(default_factory=dict)  # split -> writer of further data, such as CLIP features
    remedy: str = "repair them"  # what to do if a split has no usable image


@dataclass(frozen=True)
class Source:
    """A data set that the cache may already have in packed form."""

    description: Mapping[str, Any]  # everything that images, captions and split depend on, as plain JSON values
    open: Callable[[], Contents]  # lists the images, which may take a while


def open_pack(name: str, entry: Path, x_flip: bool) -> PackedData:
    """Open the packed data set in a cache entry; no image is read yet."""
    splits = {}
    for split in SPLITS:
        images = np.load(entry / split / "images.npy", mmap_mode="r")
        stored = read_stored(entry / split)
        splits[split] = Split(
            images, CaptionFile(entry / split / "captions.jsonl"), stored, entry / split / "names.jsonl"
        )
    skipped, duplicates, notes = (read_lines(entry / f"{name}.txt") for name in ("skipped", "duplicates", "notes"))
    fingerprint, content = identify(entry)
    return PackedData(
        name=name, fingerprint=fingerprint, x_flip=x_flip, skipped=skipped, skipped_file=entry / "skipped.txt",
        notes=notes, duplicates=duplicates, entry=entry.name, content=content, **splits,
    )  # fmt: skip


def read_lines(path: Path) -> list[str]:
    """Read the lines of a pack's file, which end at newlines alone; none if a pack by an earlier version lacks it."""
    return path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
