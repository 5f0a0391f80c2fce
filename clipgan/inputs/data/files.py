"""Data sets of image files or archives: split, fingerprint, and reading that names each bad file."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.images import CaptionedImage, read_images
from clipgan.inputs.data.pack import SPLITS, Contents, Extras, Record, Source
from clipgan.inputs.data.spool import Subset

VERSION = 2  # part of the packed set's cache key: raise it when the same files would be packed differently


@dataclass(frozen=True)
class Listing:
    """The images that a format's reader found at a path."""

    images: Sequence[CaptionedImage]
    heldout: Sequence[CaptionedImage] | None = None  # the format's own validation split; None: the format has none
    skipped: list[str] = field(default_factory=list)  # unusable files, each with the reason
    extras: Extras | None = None  # writes further data of the format, such as CLIP features


class Found(NamedTuple):
    """A data set whose format was recognised and whose images are not listed yet."""

    fingerprint: str  # changes whenever an image, a caption or the format's own split changes
    list: Callable[[], Listing]


def found(listing: Listing) -> Found:
    """Wrap a finished listing and fingerprint its names, captions, file sizes and modification times.

    The bytes of the images are not part of the fingerprint: reading them would take as long as packing.
    """
    both = chain(listing.images, listing.heldout or [])
    images = ((image.name, image.state, image.captions) for image in both)
    return Found(fingerprint([len(listing.images), listing.skipped], images), lambda: listing)


def fingerprint(*parts: Iterable[object]) -> str:
    """Return a digest of plain values: 16 hexadecimal digits of SHA-256."""
    state = hashlib.sha256()
    for part in parts:
        for value in part:
            state.update(repr(value).encode() + b"\n")
    return state.hexdigest()[:16]


def archive_states(archives: Iterable[Path]) -> Iterator[tuple[str, int, int]]:
    """Yield name, size and modification time of each archive, for a fingerprint."""
    for archive in archives:
        stat = archive.stat()
        yield archive.name, stat.st_size, stat.st_mtime_ns


def source(config: DataConfig, train: Found, heldout: Found | None = None) -> Source:
    """Describe the data set for packing.

    The held-out split is `heldout` if given, else the format's own, else drawn at random with `config.seed`.
    """
    description = {
        "name": config.name,
        "version": VERSION,
        "files": train.fingerprint,
        "heldout_files": heldout and heldout.fingerprint,
        "heldout_fraction": config.heldout_fraction,
        "seed": config.seed,
    }
    return Source(description, lambda: _contents(config, train.list(), heldout and heldout.list()))


def _contents(config: DataConfig, listing: Listing, given: Listing | None) -> Contents:
    """List both splits without uncaptioned images; a split with no caption at all stays, for language-free training."""
    train, heldout = listing.images, listing.heldout
    if given is not None:
        heldout = given.images if given.heldout is None else [*given.images, *given.heldout]
    skipped = [*listing.skipped, *(given.skipped if given else [])]
    train, heldout = _usable(train, skipped), None if heldout is None else _usable(heldout, skipped)
    if heldout is not None:
        splits = {"train": train, "heldout": heldout}
    elif len(train) < 2:
        reasons = "; ".join(skipped[:3]) or "it is empty"
        raise UserError(
            f"data.path={config.path} has {len(listing.images)} images but {len(train)} with captions, and at least 2 "
            f"are needed: {reasons}"
        )
    else:
        split = split_indices(len(train), config.heldout_fraction, config.seed)
        splits = {name: Subset(train, split[name]) for name in SPLITS}

    def read(name: str, resolution: int, start: int) -> Iterator[Record | str]:
        return read_images(splits[name][start:], resolution)

    sources = {"train": listing, "heldout": given or listing}
    extras = {name: part.extras for name, part in sources.items() if part.extras is not None}
    return Contents({name: len(splits[name]) for name in SPLITS}, read, skipped, extras)


def _usable(images: Sequence[CaptionedImage], skipped: list[str]) -> Sequence[CaptionedImage]:
    """Return the images that have captions and add the others to `skipped`; return all images if none has a caption."""
    captioned = [index for index, image in enumerate(images) if image.captions]
    if not captioned or len(captioned) == len(images):
        return images
    skipped += [f"{image.name}: no caption" for image in images if not image.captions]
    return Subset(images, captioned)


def split_indices(count: int, heldout_fraction: float, seed: int) -> dict[str, np.ndarray]:
    """Partition `count` >= 2 items at random into the two splits; each split is sorted and has at least one item."""
    order = np.random.default_rng(seed).permutation(count)
    n_heldout = min(max(1, round(count * heldout_fraction)), count - 1)
    return {"heldout": np.sort(order[:n_heldout]), "train": np.sort(order[n_heldout:])}
