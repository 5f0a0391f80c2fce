"""`data=folder`: images at any depth below a folder; the text file beside an image has one caption on each line.

The captions of `bird.png` are in `bird.txt`, `bird.caption`, or `bird.0.txt`, `bird.1.txt`, ... A data set without any
caption is for language-free training.
"""

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from clipgan.config import DataConfig
from clipgan.inputs.data.account import NO_FILE, NO_IMAGE, NO_PICTURE, Account
from clipgan.inputs.data.files import Found, Listing, found
from clipgan.inputs.data.folders import walk
from clipgan.inputs.data.image_listing import add_file, check_any
from clipgan.inputs.data.images import CaptionedImage, is_image
from clipgan.inputs.data.splits import find_splits
from clipgan.inputs.data.spool import Spool

TEXTS = (".txt", ".caption")
NUMBERED = re.compile(r"(.+)\.(\d+)")  # the stem of an image, and the number of one of its captions


def find(root: Path, config: DataConfig) -> Found:
    """Find the images below `root`: those of a folder, sorted by name, then those of the folders in it.

    Args:
        root: the folder; if it has `train/` beside `val/` or `test/`, they are the splits (see `find_splits`).
        config: `encoding` is the encoding of the captions.

    Raises:
        UserError: the folder is missing or has no image.
    """
    account = Account(no_caption=NO_FILE)
    splits = find_splits(root, account)
    images: dict[str, Spool[CaptionedImage]] = {"train": Spool(), "heldout": Spool()}
    for folder in walk(root, account):
        pictures = [name for name in folder.files if is_image(folder.path, name)]
        texts = texts_beside(folder.files, pictures)
        for name in sorted({*folder.files} - {*pictures, *(text for some in texts.values() for text in some)}):
            is_text = os.path.splitext(name)[1].lower() in TEXTS
            account.other(folder.name_of(name), NO_PICTURE if is_text else NO_IMAGE)
        for name in pictures:
            if (split := splits.of(folder.parts, folder.name_of(name), account)) is not None:
                add_file(images[split], folder, name, [folder.path / text for text in texts[name]], config, account)
    check_any(images["train"], root, account)
    return found(Listing(images["train"], images["heldout"] if splits.exist else None, account))


def texts_beside(files: Sequence[str], pictures: Sequence[str]) -> dict[str, list[str]]:
    """Return the text files of each picture in a folder, in the order of their captions.

    A text whose name differs from a picture's by the form of its letters alone (NFC, NFD) belongs to it.
    """
    texts: dict[str, list[tuple[int, str]]] = {}  # stem -> numbers and names
    stems = {os.path.splitext(name)[0] for name in pictures}
    spelt = {unicodedata.normalize("NFC", stem): stem for stem in stems}  # macOS decomposes letters
    for name in files:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() not in TEXTS:
            continue
        numbered = NUMBERED.fullmatch(stem)
        number = -1
        if numbered and stem not in stems and unicodedata.normalize("NFC", stem) not in spelt:
            stem, number = numbered[1], int(numbered[2])
        if stem not in stems:
            stem = spelt.get(unicodedata.normalize("NFC", stem), stem)
        texts.setdefault(stem, []).append((number, name))
    return {name: [text for _, text in sorted(texts.get(os.path.splitext(name)[0], ()))] for name in pictures}
