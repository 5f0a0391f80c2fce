"""What the readers of image files share: an image with the captions in its text files, and sets that lack either."""

from collections.abc import Sequence
from pathlib import Path

from clipgan.base.errors import UserError
from clipgan.base.text import counted
from clipgan.config import DataConfig
from clipgan.inputs.data.account import Account
from clipgan.inputs.data.folders import Folder
from clipgan.inputs.data.images import CaptionedImage, image_file
from clipgan.inputs.data.spool import Spool
from clipgan.inputs.data.text import read_captions


def add_file(
    images: Spool[CaptionedImage] | list[CaptionedImage],
    folder: Folder,
    name: str,
    texts: Sequence[Path],
    config: DataConfig,
    account: Account,
) -> None:
    """Append an image with the captions in its text files; an image whose captions cannot be read is skipped."""
    captions = list[str]()
    for text in texts:
        try:
            captions += read_captions(text, config.encoding)
        except ValueError as error:
            above = folder.name_of(text.name) if text.parent == folder.path else f"{text.parent.name}/{text.name}"
            account.skip_image(above, name, error)
            return
    image = image_file(folder.path / name, folder.name_of(name), captions)
    if texts and not captions:
        account.empty.add(image.name)
    images.append(image)


def check_any(images: Sequence[CaptionedImage], root: Path, account: Account) -> None:
    """Refuse a folder without images.

    Raises:
        UserError: there is no image; says what there is instead.
    """
    if not images:
        there = "; ".join(account.skipped()[:3]) or "it is empty"
        raise UserError(f"data.path={root} has no image that Pillow can read (.png, .jpg, ...): {there}")


def check_captioned(images: Sequence[CaptionedImage], folder: Path, where: str, account: Account) -> None:
    """Refuse a data set in which fewer than two images have a caption.

    Raises:
        UserError: says `where` captions belong.
    """
    captioned = sum(bool(image.captions) for image in images)
    if captioned < 2:
        skipped = account.skipped()
        reasons = f" (not used: {'; '.join(skipped[:3])})" if skipped else ""
        raise UserError(
            f"data.path={folder} has {counted(len(images), 'image')} but {captioned} with captions, "
            f"and at least 2 are needed; put captions {where}{reasons}"
        )
