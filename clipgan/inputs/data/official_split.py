"""Splits that text-to-image papers publish: `train/filenames.pickle`, `test/filenames.pickle` (AttnGAN's layout)."""

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.base.pickles import refuse_huge_numbers
from clipgan.base.text import counted
from clipgan.inputs.data.account import Account
from clipgan.inputs.data.files import Listing
from clipgan.inputs.data.images import CaptionedImage, has_image_suffix


class PlainUnpickler(pickle.Unpickler):
    """Reads lists and strings, and refuses a pickle that names any class or function, so no code is ever run."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse `module.name`."""
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def read_names(path: Path) -> set[str]:
    """Read the image names in a `filenames.pickle`, without their suffixes.

    Raises:
        UserError: the file holds anything other than a list of strings.
    """
    try:
        with path.open("rb") as file:
            refuse_huge_numbers(file)
            names = PlainUnpickler(file, encoding="latin1").load()
    except Exception as error:  # damaged bytes make the unpickler raise many kinds of errors
        raise UserError(f"{path} is not a list of file names: {error}") from error
    if not isinstance(names, list):
        raise UserError(f"{path} is not a list of file names: it holds a {type(names).__name__}")
    if others := [type(name).__name__ for name in names if not isinstance(name, str)]:
        raise UserError(f"{path} is not a list of file names: it holds a list with {others[0]} in place of a string")
    return {without_suffix(name) for name in names}


def without_suffix(name: str) -> str:
    """Strip an image suffix: `birds/a.jpg` and `birds/a` both give `birds/a`."""
    return os.path.splitext(name)[0] if has_image_suffix(name) else name


def split_by_pickles(
    root: Path, images: Sequence[CaptionedImage], names: Sequence[str], account: Account
) -> Listing | None:
    """Split the images by the pickles in `root`; return None if there is none.

    Args:
        root: the folder that may have `train/filenames.pickle` and `test/filenames.pickle`. Of a missing one, the
            images are those that the other one does not name.
        images: all images.
        names: each image's name in the pickles.
        account: see `split_by_names`.
    """
    lists = {
        split: read_names(root / split / "filenames.pickle")
        for split in ("train", "test")
        if lookup.is_file(root / split / "filenames.pickle")
    }
    if not lists:
        return None
    everything = {*names}
    train, test = lists.get("train"), lists.get("test")
    account.note(f"the split is that of {' and '.join(f'{split}/filenames.pickle' for split in lists)}")
    return split_by_names(
        images,
        names,
        everything.difference(test or ()) if train is None else train,
        everything.difference(train or ()) if test is None else test,
        account,
    )


def split_by_names(
    images: Sequence[CaptionedImage], names: Sequence[str], train: set[str], test: set[str], account: Account
) -> Listing:
    """Split the images by two lists of names.

    Args:
        images: all images.
        names: each image's name in the lists.
        train: names of training images. An image that is in both lists is one.
        test: names of held-out images.
        account: gets the images in neither list, the number of images in both, and the number of names without an
            image.
    """
    named = list(zip(names, images, strict=True))
    for name, image in named:
        if name not in train and name not in test:
            account.skip(image.name, "in neither split")
    if both := train.intersection(test, names):
        number = counted(len(both), "image")
        account.note(f"in both lists of the split, and used for training: {number}, such as {min(both)}")
    if missing := (train | test).difference(names):
        account.note(
            f"the lists of the split name {counted(len(missing), 'image')} without a file, or whose captions cannot be "
            f"read, such as {min(missing)}"
        )
    return Listing(
        [image for name, image in named if name in train],
        [image for name, image in named if name in test and name not in train],
        account,
    )
