"""Data sets of image files or archives: split, fingerprint, and reading that names each bad file."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clipgan.base.errors import UserError
from clipgan.base.text import counted
from clipgan.config import DataConfig
from clipgan.inputs.data.account import Account
from clipgan.inputs.data.images import CaptionedImage, read_images
from clipgan.inputs.data.pack import SPLITS, Contents, Extras, Record, Source
from clipgan.inputs.data.splits import HELDOUT
from clipgan.inputs.data.spool import Subset
from clipgan.inputs.data.text import line_about, one_line

VERSION = 6  # part of the packed set's cache key: raise it when the same files would be packed differently


@dataclass(frozen=True)
class Listing:
    """The images that a format's reader found at a path."""

    images: Sequence[CaptionedImage]
    heldout: Sequence[CaptionedImage] | None = None  # the format's own validation split; None: the format has none
    account: Account = field(default_factory=Account)  # files that are not used, and what was done with the others
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
    return Found(fingerprint([len(listing.images), listing.account.faults()], images), lambda: listing)


def fingerprint(*parts: Iterable[object]) -> str:
    """Return a digest of plain values: 16 hexadecimal digits of SHA-256."""
    state = hashlib.sha256()
    for part in parts:
        for value in part:
            state.update(repr(value).encode() + b"\n")
    return state.hexdigest()[:16]


def archive_states(archives: Iterable[Path], root: Path) -> Iterator[tuple[str, int, int]]:
    """Yield path below `root`, size and modification time of each archive, for a fingerprint."""
    for archive in archives:
        stat = archive.stat()
        yield archive.relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns


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
    used = _unused_split(config, listing.account) if given is not None else None
    skipped, notes = listing.account.skipped(used), [*listing.account.notes, *listing.account.remarks()]
    if given is None:
        notes += _second_splits(config, listing.account)
    if given is not None:
        if heldout:
            unused = counted(len(heldout), "held-out image")
            notes.append(f"data.heldout_path is given; not used: {unused} of data.path")
        else:
            notes.append("held-out images are those of data.heldout_path")
        heldout = given.images if given.heldout is None else [*given.images, *given.heldout]
        skipped += given.account.skipped()
        notes += [f"data.heldout_path: {note}" for note in [*given.account.notes, *given.account.remarks()]]
    lost = listing.account.lost_captions
    if lost and not any(image.captions for image in train):
        raise UserError(
            f"data.path={config.path}: captions cannot be read ({lost} times), and no image has others: "
            f"{'; '.join(skipped[:3])}"
        )
    listed = len(train)
    train = _usable(train, listing.account, skipped)
    if heldout is not None:
        heldout = _usable(heldout, (given or listing).account, skipped)
    if heldout is not None:
        splits = {"train": train, "heldout": heldout}
        remedy = _remedy(config, listing.account, given is not None)
    elif len(train) < 2:
        raise UserError(_too_few(config.path, listed, len(train), skipped))
    else:
        split = split_indices(len(train), config.heldout_fraction, config.seed)
        splits = {name: Subset(train, split[name]) for name in SPLITS}
        notes.append(
            f"the set has no split of its own: held-out images are {config.heldout_fraction:.3g} of all, "
            "drawn at random (data.heldout_fraction, data.seed)"
        )
        remedy = f"repair {_place(config)}, or choose another data.seed or data.heldout_fraction"

    def read(name: str, resolution: int, start: int) -> Iterator[Record | str]:
        return read_images(splits[name][start:], resolution)

    sources = {"train": listing, "heldout": given or listing}
    extras = {name: part.extras for name, part in sources.items() if part.extras is not None}
    return Contents({name: len(splits[name]) for name in SPLITS}, read, skipped, notes, extras, remedy)


def _too_few(path: str | None, listed: int, usable: int, skipped: Sequence[str]) -> str:
    has = f"has {counted(listed, 'image')}" + f" but {usable} with captions" * (usable != listed)
    reasons = f"; not used: {'; '.join(skipped[:3])}" if skipped else ""
    return f"data.path={path} {has}: at least 2 are needed, one to train on and one to hold out{reasons}"


def _remedy(config: DataConfig, account: Account, is_given: bool) -> str:
    """Say what to do if a split that was not drawn at random has no usable image: which split it is."""
    if is_given:
        return f"repair {_place(config)} or data.heldout_path={config.heldout_path}"
    split = "; ".join(account.notes[:3])
    return f"repair {_place(config)}, or its split" + f": {split}" * bool(split)


def _place(config: DataConfig) -> str:
    return f"data={config.name}" if config.path is None else f"data.path={config.path}"


def _unused_split(config: DataConfig, account: Account) -> str | None:
    """Return the held-out folder of `data.path` that `data.heldout_path` names, if it is one that is not used."""
    assert config.path is not None
    assert config.heldout_path is not None
    given = Path(config.heldout_path).resolve()
    return next((place for place in account.second if Path(config.path, place).resolve() == given), None)


def _second_splits(config: DataConfig, account: Account) -> Iterator[str]:
    """Say of each held-out split that is not used why not, and how it would be used."""
    for place, names in account.second.items():
        path = Path(config.path or "", place)
        way = f"data.heldout_path={one_line(str(path))} takes" if path.is_dir() else "data.heldout_path=PATH could take"
        yield (
            f"{one_line(place)} is another held-out split ({account.count(len(names))}), which is not used: of "
            f"several, the first of {', '.join(HELDOUT)} is taken; {way} it instead"
        )


def _usable(images: Sequence[CaptionedImage], account: Account, skipped: list[str]) -> Sequence[CaptionedImage]:
    """Return the images that have captions and add the others to `skipped`; return all images if none has a caption."""
    captioned = [index for index, image in enumerate(images) if image.captions]
    if not captioned or len(captioned) == len(images):
        return images
    skipped += [line_about(image.name, account.why_no_caption(image.name)) for image in images if not image.captions]
    return Subset(images, captioned)


def split_indices(count: int, heldout_fraction: float, seed: int) -> dict[str, np.ndarray]:
    """Partition `count` >= 2 items at random into the two splits; each split is sorted and has at least one item."""
    order = np.random.default_rng(seed).permutation(count)
    n_heldout = min(max(1, round(count * heldout_fraction)), count - 1)
    return {"heldout": np.sort(order[:n_heldout]), "train": np.sort(order[n_heldout:])}
