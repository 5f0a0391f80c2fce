"""Pictures in a folder or a ZIP archive, as a source of an evaluation.

Shapes: N pictures, R resolution.
"""

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.base.text import counted, first_line
from clipgan.config.checks import RESOLUTIONS, is_resolution
from clipgan.inputs.data.archives import check_member
from clipgan.inputs.data.images import formats, has_image_suffix
from clipgan.inputs.data.limits import check_image_size
from clipgan.metrics.generated import CHUNK
from clipgan.metrics.prompts import evenly

PROMPT = "prompt"  # clipgan.sample's note in a PNG


@dataclass(frozen=True)
class GivenPicture:
    """One picture."""

    name: str  # its path below the folder, or in the archive
    open: Callable[[], IO[bytes]]
    state: tuple[int, ...]  # size and time, or size and checksum
    prompt: str | None = None  # what clipgan.sample drew it for


class GivenPictures:
    """All pictures of a folder or an archive, sorted by name."""

    def __init__(self, path: Path, pictures: list[GivenPicture], resolution: int) -> None:
        self.path, self.pictures, self.resolution = path, pictures, resolution

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def prompts(self) -> list[str] | None:
        """The prompts that clipgan.sample has noted in the pictures; None if it has not."""
        prompts = [picture.prompt for picture in self.pictures if picture.prompt is not None]
        return prompts if len(prompts) == len(self.pictures) else None

    @property
    def key(self) -> str:
        """A digest of names, sizes and times or checksums."""
        parts = [f"{picture.name} {picture.state}" for picture in self.pictures]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def chosen(self, count: int) -> list[int]:
        """The indices of `count` pictures, evenly spaced.

        Raises:
            UserError: there are fewer.
        """
        if len(self) < count:
            raise UserError(
                f"images={self.path} has {counted(len(self), 'image')}, and {count} are needed "
                f"(metrics.n_images={count}): give more, or metrics.n_images={len(self)}, which makes another metric"
            )
        return [int(index) for index in evenly(len(self), count)]

    def read(self, rows: list[int], chunks: range, draw: int = 0) -> Tensor:
        """Read chunks of some pictures, whose indices are `rows`: uint8 [len(chunks) * CHUNK, 3, R, R].

        Raises:
            UserError: a picture is damaged.
        """
        numbers = range(chunks.start * CHUNK, chunks.stop * CHUNK)
        return torch.stack([self._pixels(self.pictures[rows[number % len(rows)]]) for number in numbers])

    def _pixels(self, picture: GivenPicture) -> Tensor:
        try:
            with picture.open() as file, Image.open(file, formats=formats()) as image:
                return torch.from_numpy(np.array(image)).permute(2, 0, 1)
        except Exception as error:  # Pillow's decoders raise many kinds of errors for damaged files
            raise UserError(f"images={self.path}: {picture.name} cannot be read ({first_line(error)})") from error


def find_pictures(path: Path, resolution: int | None) -> GivenPictures:
    """Find the pictures of a folder or an archive, and look at each one's size and colours.

    If clipgan.sample has written some of them, with a prompt, only these count: its grids lie beside them.

    Args:
        path: the folder or ZIP archive.
        resolution: the size that all must have, pixels; None: that of the first one.

    Raises:
        UserError: there is no picture, or one is not RGB with 8 bits, or of another size, or damaged.
    """
    found = [_noted(path, picture) for picture in (_of_archive(path) if lookup.is_file(path) else _of_folder(path))]
    sampled = [each for each in found if each[0].prompt is not None]
    found = sorted(sampled or found, key=lambda each: each[0].name)
    if not found:
        raise UserError(f"images={path} has no image (.png, .jpg, ...); give a folder or a ZIP archive of images")
    side = resolution or found[0][2][0]
    for picture, mode, size in found:
        if mode != "RGB":
            kind = {"L": "grey", "1": "black and white", "RGBA": "an image with alpha", "P": "an image with a palette"}
            raise UserError(
                f"images={path}: {picture.name} is {kind.get(mode, 'not RGB')} (mode {mode}); metrics need RGB of 8 "
                "bits, as the generator draws: convert the images"
            )
        if size != (side, side):
            why = f"resolution={resolution}" if resolution else f"{found[0][0].name} has {side} x {side}"
            if size[0] != size[1]:
                why = "metrics need square pictures"
            raise UserError(f"images={path}: {picture.name} has {size[0]} x {size[1]} pixels, and {why}")
    if not is_resolution(side):
        raise UserError(f"images={path}: {found[0][0].name} has {side} x {side} pixels; the side must be {RESOLUTIONS}")
    return GivenPictures(path, [picture for picture, _, _ in found], side)


def _noted(path: Path, picture: GivenPicture) -> tuple[GivenPicture, str, tuple[int, int]]:
    """Open a picture's header: its note, mode and size."""
    try:
        with picture.open() as file, Image.open(file, formats=formats()) as image:
            prompt = image.info.get(PROMPT)
            noted = GivenPicture(picture.name, picture.open, picture.state, prompt and str(prompt))
            return noted, image.mode, image.size
    except Exception as error:  # see `GivenPictures._pixels`
        raise UserError(f"images={path}: {picture.name} cannot be read ({first_line(error)})") from error


def _of_folder(path: Path) -> Iterator[GivenPicture]:
    for file in path.rglob("*"):
        if has_image_suffix(file.name) and file.is_file():
            stat = file.stat()
            yield GivenPicture(str(file.relative_to(path)), partial(_open_file, file), (stat.st_size, stat.st_mtime_ns))


def _open_file(path: Path) -> IO[bytes]:
    return path.open("rb")


def _of_archive(path: Path) -> Iterator[GivenPicture]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"images={path} is neither a folder nor a ZIP archive ({first_line(error)})") from error
    for member in archive.infolist():
        check_member(path, member.filename, plain=True)
        if has_image_suffix(member.filename) and not member.is_dir():
            opening = partial(_open_member, archive, member)
            yield GivenPicture(member.filename, opening, (member.file_size, member.CRC))


def _open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    check_image_size(member.file_size)
    return archive.open(member)
