"""`data=folder`: images anywhere below a folder, each with a text file beside it, one caption a line.

Where none of them has a caption, the set is one for language-free training.
"""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.files import Found, Listing, found
from clipgan.inputs.data.images import SUFFIXES, CaptionedImage, image_file, read_captions
from clipgan.inputs.data.spool import Spool


def find(folder: Path, config: DataConfig) -> Found:
    """The images below `folder`, sorted by path.

    Args:
        folder: holds `NAME.png` (or another of `SUFFIXES`) beside `NAME.txt`, at any depth.
        config: not needed here.

    Raises:
        UserError: the folder is missing or has no image.
    """
    files = image_paths(folder)
    return found(Listing(Spool(image_file(path, folder, read_captions(path.with_suffix(".txt"))) for path in files)))


def image_paths(folder: Path) -> Iterator[Path]:
    """The image files below `folder`, at least one, sorted; one folder's names are in memory at a time.

    Raises:
        UserError: the folder is missing or has no image.
    """
    if not folder.is_dir():
        raise UserError(f"data.path={folder} is no folder; give one with images and their captions")
    files = _images_below(folder)
    first = next(files, None)
    if first is None:
        raise UserError(f"data.path={folder} has no image ({', '.join(SUFFIXES)})")
    return chain([first], files)


def _images_below(folder: Path) -> Iterator[Path]:
    """In the order of their sorted paths; links to folders are not followed."""
    for name in sorted(os.listdir(folder)):
        path = folder / name
        if name.lower().endswith(SUFFIXES) and path.is_file():
            yield path
        elif path.is_dir() and not path.is_symlink():
            yield from _images_below(path)


def check_captioned(images: list[CaptionedImage], folder: Path, where: str) -> None:
    """
    Raises:
        UserError: fewer than two images have a caption; says `where` captions belong.
    """
    captioned = sum(bool(image.captions) for image in images)
    if captioned < 2:
        raise UserError(
            f"data.path={folder} has {len(images)} images but {captioned} with captions; put captions {where}"
        )
