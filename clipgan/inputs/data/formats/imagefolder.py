"""`data=imagefolder`: one folder of images for each class, the layout of ImageNet.

PATH/train/CLASS/NAME.JPEG and PATH/val/CLASS/NAME.JPEG (or validation, valid, test), or PATH/CLASS/NAME.JPEG with a
random split. The class is the first folder below the split, however deep the image lies. An image's caption is
`a photo of a CLASS`. `PATH/classes.txt` (or `words.txt`) may name folders such as n01440764; its lines are
`n01440764 tench, Tinca tinca`.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.account import NO_CLASS, Account
from clipgan.inputs.data.files import Found, Listing, found
from clipgan.inputs.data.folders import check_folder, image_files
from clipgan.inputs.data.image_listing import check_any
from clipgan.inputs.data.images import CaptionedImage, image_file
from clipgan.inputs.data.splits import TRAIN, find_splits, subfolders
from clipgan.inputs.data.spool import Spool
from clipgan.inputs.data.text import one_caption, one_line, read_lines

NAMES = ("classes.txt", "words.txt", "LOC_synset_mapping.txt")  # the last two: Tiny ImageNet's, Kaggle's
PROMPT = "a photo of a {}"  # CLIP's own


def find(root: Path, config: DataConfig) -> Found:
    """Find the images below `root`, sorted by class and name.

    An image's name is SPLIT/CLASS/..., or ./CLASS/... in a set without splits, so that its second part is its class.

    Args:
        root: the folder of the splits, of the one folder that has them, or of the classes.
        config: `encoding` is the encoding of the classes' names.

    Raises:
        UserError: there is no image, or no image lies in a class's folder.
    """
    check_folder(root)
    account = Account()
    splits = find_splits(root, account)
    top = subfolders(root)
    depth = splits.depth + 1 if splits.exist else int(len(top) == 1 and top[0].casefold() in TRAIN)  # of the classes
    spelt = {name.casefold(): name for name in sorted(os.listdir(root / splits.above))}  # of two, that in small letters
    known = [splits.above + spelt.get(name.casefold(), name) for name in NAMES]
    has_names, names = _class_names(root, known, config.encoding)
    images: dict[str, Spool[CaptionedImage]] = {"train": Spool(), "heldout": Spool()}
    kinds = set()
    for folder, name in image_files(root, account, known):
        if (split := splits.of(folder.parts, folder.name_of(name), account)) is None:
            continue
        if len(folder.parts) <= depth:
            account.skip(folder.name_of(name), "not in a class's folder, CLASS/NAME.png")
            continue
        kind = folder.parts[depth]
        caption = PROMPT.format(one_caption(names.get(kind, kind.replace("_", " "))))
        if one_line(caption) != caption:
            account.other(folder.name_of(name), NO_CLASS)
            continue
        kinds.add(kind)
        label = "/".join((*(folder.parts[depth - 1 :] if depth else (".", *folder.parts)), name))
        images[split].append(image_file(folder.path / name, label, [caption]))
    check_any(images["train"], root, account)
    if len(kinds) == 1:
        account.note(f"all images are of one class, the folder {one_line(kinds.pop())}/")
    if has_names and (unnamed := kinds.difference(names)):
        account.note(
            f"{len(unnamed)} of {len(kinds)} classes are called like their folders, such as {min(unnamed)}: a line of "
            f"{' or '.join(NAMES)} names a class if it is `FOLDER NAME`"
        )
    return found(Listing(images["train"], images["heldout"] if splits.exist else None, account))


def _class_names(root: Path, files: Sequence[str], encoding: str) -> tuple[bool, dict[str, str]]:
    """Read the first file that exists, if any: the line `n01440764 tench, Tinca tinca` gives `tench`."""
    for path in (root / file for file in files):
        if lookup.is_file(path):
            try:
                lines = (line.split(maxsplit=1) for line in read_lines(path, encoding))
                return True, {parts[0]: parts[1].partition(",")[0].strip() for parts in lines if len(parts) == 2}
            except ValueError as error:
                raise UserError(f"data.path={root}: the classes' names cannot be read: {error}") from error
    return False, {}
