"""`data=cub`: Caltech-UCSD Birds 200-2011 with ten captions for each image by Reed et al. (arXiv:1605.05395).

    PATH/CUB_200_2011/images/001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg
    PATH/text_c10/001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.txt    (or PATH/text/...)

Each folder may lie in PATH itself or one level below. The first of these that exists defines the held-out split: the
classes in Reed's `testclasses.txt` (the split of text-to-image papers), the images in AttnGAN's
`test/filenames.pickle`, the test images in CUB's own `train_test_split.txt`.
"""

from pathlib import Path

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.base.text import counted
from clipgan.config import DataConfig
from clipgan.inputs.data.account import NO_FILE, Account
from clipgan.inputs.data.files import Found, Listing, found
from clipgan.inputs.data.folders import image_files
from clipgan.inputs.data.image_listing import add_file, check_captioned
from clipgan.inputs.data.images import CaptionedImage
from clipgan.inputs.data.official_split import split_by_names, split_by_pickles, without_suffix
from clipgan.inputs.data.text import read_lines
from clipgan.inputs.data.text_folder import TextFolder


def find(root: Path, config: DataConfig) -> Found:
    """Find the birds below `root`, sorted by class and name.

    Args:
        root: the folder of the data set.
        config: `encoding` is the encoding of the captions.

    Raises:
        UserError: images or captions are missing.
    """
    pictures, texts = _below(root, "images"), _below(root, "text_c10") or _below(root, "text")
    if pictures is None or texts is None:
        missing = "images/" if pictures is None else "text_c10/ (or text/), the captions of Reed et al."
        raise UserError(f"data.path={root} is not CUB-200-2011 with captions: it has no {missing}")
    account, images = Account(no_caption=NO_FILE), list[CaptionedImage]()
    captions = TextFolder(texts, account)
    for folder, name in image_files(pictures, account):
        add_file(images, folder, name, captions.of(without_suffix(folder.name_of(name))), config, account)
    captions.note_unused(account)
    if not images:
        reasons = "; ".join(account.skipped()[:3]) or "it is empty"
        raise UserError(f"data.path={root} is not CUB-200-2011: {pictures} has no CLASS/NAME.jpg ({reasons})")
    check_captioned(images, root, f"into {texts}/CLASS/NAME.txt, one on each line", account)
    names = [without_suffix(image.name) for image in images]
    return found(
        _zero_shot_split(root, images, config.encoding, account) or split_by_pickles(root, images, names, account)
        or _cub_split(root, images, names, config.encoding, account) or Listing(images, account=account)
    )  # fmt: skip


def _below(root: Path, name: str) -> Path | None:
    """Return `root/name` or the first `root/*/name` that exists."""
    return next((path for path in (root / name, *sorted(root.glob(f"*/{name}"))) if lookup.exists(path)), None)


def _zero_shot_split(root: Path, images: list[CaptionedImage], encoding: str, account: Account) -> Listing | None:
    path = _below(root, "testclasses.txt")
    if path is None:
        return None
    heldout = {word for line in _lines(path, encoding) for word in line.split()}
    classes = {image.name.partition("/")[0] for image in images}
    if not heldout & classes or not classes - heldout:
        which = "no class" if not heldout & classes else "all classes"
        raise UserError(f"data.path={root}: {path} names {which} of the images, and held-out classes are some of them")
    account.note(f"held-out images are those of {counted(len(heldout & classes), 'class', 'classes')} in {path.name}")
    if missing := heldout - classes:
        number = counted(len(missing), "class", "classes")
        account.note(f"{path.name} names {number} without images, such as {min(missing)}")
    held = [image.name.partition("/")[0] in heldout for image in images]
    marked = list(zip(images, held, strict=True))
    return Listing([image for image, out in marked if not out], [image for image, out in marked if out], account)


def _cub_split(
    root: Path, images: list[CaptionedImage], names: list[str], encoding: str, account: Account
) -> Listing | None:
    """Read CUB's own split: `images.txt` has lines `ID PATH`, `train_test_split.txt` lines `ID 1` (train) or `ID 0`."""
    paths, training = _below(root, "images.txt"), _below(root, "train_test_split.txt")
    if paths is None or training is None:
        return None
    path_of, flag_of = (_pairs(file, encoding, account) for file in (paths, training))
    train, test = (
        {without_suffix(path) for number, path in path_of.items() if flag_of.get(number) == flag} for flag in "10"
    )
    account.note(f"the split is that of {training.name}")
    return split_by_names(images, names, train, test, account)


def _pairs(path: Path, encoding: str, account: Account) -> dict[str, str]:
    """Read lines `ID VALUE`; a line without a value goes to the account."""
    pairs = {}
    for line in _lines(path, encoding):
        number, _, value = line.partition(" ")
        if value:
            pairs[number] = value.strip()
        else:
            account.skip(path.name, f"a line without two words ({line})")
    return pairs


def _lines(path: Path, encoding: str) -> list[str]:
    try:
        return read_lines(path, encoding)
    except ValueError as error:
        raise UserError(f"data.path: {path} cannot be read: {error}") from error
