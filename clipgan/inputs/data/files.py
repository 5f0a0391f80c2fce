"""Data sets of image files or archives: their split, their fingerprint, reading with bad files named."""

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
from clipgan.inputs.data.spool import Chosen

VERSION = 2  # part of the packed set's cache key: raise it when the same files would be packed otherwise


@dataclass(frozen=True)
class Listing:
    """What a format found at a path."""

    images: Sequence[CaptionedImage]
    heldout: Sequence[CaptionedImage] | None = None  # the format's own validation split; None: it has none
    skipped: list[str] = field(default_factory=list)  # what cannot be used, each with its reason
    extras: Extras | None = None  # writes what else the format knows of its images


class Found(NamedTuple):
    """A data set that was recognised, before it is listed."""

    fingerprint: str  # changes whenever an image, a caption or the format's own split does
    list: Callable[[], Listing]


def found(listing: Listing) -> Found:
    """What is listed already; its fingerprint covers names, sizes and times of the images, not their bytes: reading
    those would take as long as packing them.
    """
    both = chain(listing.images, listing.heldout or [])
    images = ((image.name, image.state, image.captions) for image in both)
    return Found(fingerprint([len(listing.images), listing.skipped], images), lambda: listing)


def fingerprint(*parts: Iterable[object]) -> str:
    """A digest of plain values."""
    state = hashlib.sha256()
    for part in parts:
        for value in part:
            state.update(repr(value).encode() + b"\n")
    return state.hexdigest()[:16]


def archive_states(archives: Iterable[Path]) -> Iterator[tuple[str, int, int]]:
    """Name, size and modification time of each archive, for a fingerprint."""
    for archive in archives:
        stat = archive.stat()
        yield archive.name, stat.st_size, stat.st_mtime_ns


def source(config: DataConfig, train: Found, heldout: Found | None = None) -> Source:
    """The data set as it is packed.

    The held-out split is `heldout` where there is one, else the format's own, else drawn at random by `config.seed`.
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
    """Both splits. Images without captions are left out, except where a split has none: for language-free training."""
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
            f"data.path={config.path} has {len(listing.images)} images but {len(train)} with captions: {reasons}"
        )
    else:
        split = split_indices(len(train), config.heldout_fraction, config.seed)
        splits = {name: Chosen(train, split[name]) for name in SPLITS}

    def read(name: str, resolution: int, start: int) -> Iterator[Record | str]:
        return read_images(splits[name][start:], resolution)

    sources = {"train": listing, "heldout": given or listing}
    extras = {name: part.extras for name, part in sources.items() if part.extras is not None}
    return Contents({name: len(splits[name]) for name in SPLITS}, read, skipped, extras)


def _usable(images: Sequence[CaptionedImage], skipped: list[str]) -> Sequence[CaptionedImage]:
    """The images with captions, or all where none has one; adds the others to `skipped`."""
    captioned = [index for index, image in enumerate(images) if image.captions]
    if not captioned or len(captioned) == len(images):
        return images
    skipped += [f"{image.name}: no caption" for image in images if not image.captions]
    return Chosen(images, captioned)


def split_indices(count: int, heldout_fraction: float, seed: int) -> dict[str, np.ndarray]:
    """A random partition of `count` >= 2 items into the two splits, each sorted and not empty."""
    order = np.random.default_rng(seed).permutation(count)
    n_heldout = min(max(1, round(count * heldout_fraction)), count - 1)
    return {"heldout": np.sort(order[:n_heldout]), "train": np.sort(order[n_heldout:])}
