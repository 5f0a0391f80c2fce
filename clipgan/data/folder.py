"""`data=folder`: images anywhere below a folder, each with a text file beside it, one caption a line.

Where none of them has a caption, the set is one for language-free training.
"""

from pathlib import Path

from clipgan.config import DataConfig
from clipgan.data.files import Found, Listing, found
from clipgan.data.images import SUFFIXES, CaptionedImage, image_file, read_captions
from clipgan.errors import UserError


def find(folder: Path, config: DataConfig) -> Found:
    """The images below `folder`, sorted by path.

    Args:
        folder: holds `NAME.png` (or another of `SUFFIXES`) beside `NAME.txt`, at any depth.
        config: not needed here.

    Raises:
        UserError: the folder is missing or has no image.
    """
    files = image_paths(folder)
    return found(Listing([image_file(path, folder, read_captions(path.with_suffix(".txt"))) for path in files]))


def image_paths(folder: Path) -> list[Path]:
    """The image files below `folder`, at least one, sorted.

    Raises:
        UserError: the folder is missing or has no image.
    """
    if not folder.is_dir():
        raise UserError(f"data.path={folder} is no folder; give one with images and their captions")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise UserError(f"data.path={folder} has no image ({', '.join(SUFFIXES)})")
    return files


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
