"""`data=folder`: images at any depth below a folder; the text file beside an image has one caption on each line.

A data set without any caption is for language-free training.
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
    """Find the images below `folder` (`NAME.png` or another of `SUFFIXES`), sorted by path; `config` is unused.

    Raises:
        UserError: the folder is missing or has no image.
    """
    files = image_paths(folder)
    return found(Listing(Spool(image_file(path, folder, read_captions(path.with_suffix(".txt"))) for path in files)))


def image_paths(folder: Path) -> Iterator[Path]:
    """Yield the image files below `folder`, sorted, at least one; memory holds the names of one folder at a time.

    Raises:
        UserError: the folder is missing or has no image.
    """
    if not folder.is_dir():
        raise UserError(f"data.path={folder} is not a folder; give a folder with images and their captions")
    files = _images_below(folder)
    first = next(files, None)
    if first is None:
        raise UserError(f"data.path={folder} has no image ({', '.join(SUFFIXES)})")
    return chain([first], files)


def _images_below(folder: Path) -> Iterator[Path]:
    """Yield image files in the order of their paths; do not follow links to folders."""
    for name in sorted(os.listdir(folder)):
        path = folder / name
        if name.lower().endswith(SUFFIXES) and path.is_file():
            yield path
        elif path.is_dir() and not path.is_symlink():
            yield from _images_below(path)


def check_captioned(images: list[CaptionedImage], folder: Path, where: str) -> None:
    """Refuse a data set in which fewer than two images have a caption.

    Raises:
        UserError: says `where` captions belong.
    """
    captioned = sum(bool(image.captions) for image in images)
    if captioned < 2:
        raise UserError(
            f"data.path={folder} has {len(images)} images but {captioned} with captions, and at least 2 are needed; "
            f"put captions {where}"
        )
