"""`data=celeba_hq`: Multi-Modal-CelebA-HQ (arXiv:2012.03308), faces with ten captions each.

PATH/images/0.jpg, ... (or PATH/image/images, PATH/CelebA-HQ-img)
PATH/text/celeba-caption/0.txt, ... (or PATH/celeba-caption), one caption on each line
PATH/train/filenames.pickle, PATH/test/filenames.pickle: the official split; without them the split is random
"""

import os
from pathlib import Path

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.account import NO_FILE, Account
from clipgan.inputs.data.files import Found, Listing, found
from clipgan.inputs.data.folders import image_files
from clipgan.inputs.data.image_listing import add_file, check_captioned
from clipgan.inputs.data.images import CaptionedImage
from clipgan.inputs.data.official_split import split_by_pickles, without_suffix
from clipgan.inputs.data.text_folder import TextFolder

IMAGES = ("images", "image/images", "image", "CelebA-HQ-img", "CelebAMask-HQ/CelebA-HQ-img")
TEXTS = ("text/celeba-caption", "celeba-caption")


def find(root: Path, config: DataConfig) -> Found:
    """Find the faces below `root`, in the order of their numbers.

    Args:
        root: the folder of the data set.
        config: `encoding` is the encoding of the captions.

    Raises:
        UserError: images or captions are missing.
    """
    pictures, texts = (
        next((root / name for name in names if lookup.is_dir(root / name)), None) for names in (IMAGES, TEXTS)
    )
    if pictures is None or texts is None:
        missing = " or ".join(f"{name}/" for name in (IMAGES if pictures is None else TEXTS))
        raise UserError(f"data.path={root} is not Multi-Modal-CelebA-HQ: it has no {missing}")
    account, images = Account(no_caption=NO_FILE), list[CaptionedImage]()
    files = sorted(image_files(pictures, account), key=lambda file: (len(_stem(file[1])), _stem(file[1])))
    captions = TextFolder(texts, account)
    for folder, name in files:
        add_file(images, folder, name, captions.of(without_suffix(folder.name_of(name))), config, account)
    captions.note_unused(account)
    if not images:
        reasons = "; ".join(account.skipped()[:3]) or "it is empty"
        raise UserError(f"data.path={root} is not Multi-Modal-CelebA-HQ: {pictures} has no NUMBER.jpg ({reasons})")
    check_captioned(images, root, f"into {texts}/NUMBER.txt, one on each line", account)
    names = [without_suffix(image.name) for image in images]
    return found(split_by_pickles(root, images, names, account) or Listing(images, account=account))


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]
