"""Packed data sets: every image at one resolution in a memory-mapped array, beside its captions.

Shapes: N images, R resolution. An entry of the cache holds, for each split, `images.npy` (uint8 [N, 3, R, R]) and
`captions.jsonl` (a list of strings a line), and for the whole `skipped.txt` (a refused file and its reason a line).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from clipgan.errors import UserError
from clipgan.progress import track

SPLITS = ("train", "heldout")


class Record(NamedTuple):
    """One captioned image."""

    image: np.ndarray  # uint8 [R, R, 3], sRGB
    captions: list[str]


@dataclass(frozen=True)
class Split:
    """The images of one split and their captions."""

    images: np.ndarray  # uint8 [N, 3, R, R], sRGB, memory-mapped read-only
    captions: list[list[str]]  # N lists of at least one caption

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


@dataclass(frozen=True)
class Source:
    """A data set before it is packed."""

    description: Mapping[str, Any]  # all that its images, captions and split depend on, as plain JSON values
    sizes: Mapping[str, int]  # split -> number of images, before any is refused
    read: Callable[[str, int], Iterator[Record | str]]  # (split, resolution); a string says why an image is refused
    skipped: Sequence[str] = ()  # what was refused before, each with its reason


def write_pack(directory: Path, source: Source, resolution: int) -> None:
    """Pack both splits of `source` into `directory`.

    Raises:
        UserError: a split has no usable image.
    """
    skipped = list(source.skipped)
    for split in SPLITS:
        total = source.sizes[split]
        items = track(source.read(split, resolution), f"packing {split} images", total)
        count = _write_split(directory / split, items, total, resolution, skipped)
        if count == 0:
            reasons = "; ".join(skipped[:3]) or "it is empty"
            raise UserError(
                f"no usable image for the {split} split of data={source.description['name']}: {reasons}; "
                "mend them, or choose another data.seed or data.heldout_fraction"
            )
    (directory / "skipped.txt").write_text("".join(line + "\n" for line in skipped), encoding="utf-8")


def _write_split(
    directory: Path, items: Iterable[Record | str], total: int, resolution: int, skipped: list[str]
) -> int:
    directory.mkdir()
    path = directory / "images.npy"
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(total, 3, resolution, resolution))
    count = 0
    with (directory / "captions.jsonl").open("w", encoding="utf-8") as captions:
        for item in items:
            if isinstance(item, str):
                skipped.append(item)
                continue
            images[count] = item.image.transpose(2, 0, 1)
            captions.write(json.dumps(item.captions, ensure_ascii=False) + "\n")
            count += 1
    images.flush()
    if count < total:  # files were skipped: keep the rows that were filled
        np.save(directory / "filled.npy", images[:count])
        (directory / "filled.npy").replace(path)
    return count


def open_pack(name: str, entry: Path, x_flip: bool) -> PackedData:
    """The packed data set in a cache entry; no image is read yet."""
    splits = {}
    for split in SPLITS:
        lines = (entry / split / "captions.jsonl").read_text(encoding="utf-8").splitlines()
        images = np.load(entry / split / "images.npy", mmap_mode="r")
        splits[split] = Split(images=images, captions=[json.loads(line) for line in lines])
    skipped = (entry / "skipped.txt").read_text(encoding="utf-8").splitlines()
    return PackedData(
        name=name, fingerprint=entry.name, x_flip=x_flip, skipped=skipped, skipped_file=entry / "skipped.txt", **splits
    )


def square(image: Image.Image, resolution: int) -> np.ndarray:
    """Composite on white, crop the centre square and resize it (Lanczos) to uint8 [resolution, resolution, 3]."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = image.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box))
