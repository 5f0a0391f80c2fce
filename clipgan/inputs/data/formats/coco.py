"""`data=coco`: MS-COCO as downloaded, with five captions for each image; the official validation split is held out.

PATH/annotations/captions_train2014.json, captions_val2014.json (or 2017)
PATH/train2014/COCO_train2014_000000000009.jpg, ..., PATH/val2014/...    (PATH/images/train2014 as well)
"""

import posixpath
from pathlib import Path

import ijson

from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.account import Account
from clipgan.inputs.data.files import Found, Listing, found
from clipgan.inputs.data.images import CaptionedImage, image_file
from clipgan.inputs.data.spool import Spool
from clipgan.inputs.data.tables import open_json
from clipgan.inputs.data.text import checked, one_caption

SPLITS = ("train", "val")


def find(root: Path, config: DataConfig) -> Found:
    """Find the images of both splits below `root`, in the order of the annotations.

    Args:
        root: the folder of the data set.
        config: `encoding` is the encoding of the annotations.

    Raises:
        UserError: a folder or an annotation file is missing or damaged, or the folder has more than one year.
    """
    years = sorted(path.stem.removeprefix("captions_train") for path in root.glob("annotations/captions_train*.json"))
    years = [year for year in years if _image_folder(root, f"train{year}")]
    if len(years) != 1:
        found_years = f"has both for {' and '.join(years)}: keep one" if years else "has no such pair"
        raise UserError(
            f"data.path={root} is not MS-COCO: it needs annotations/captions_train2014.json and train2014/ (or 2017) "
            f"and {found_years}"
        )
    account = Account()
    train, val = (_split(root, f"{split}{years[0]}", config.encoding, account) for split in SPLITS)
    return found(Listing(train, val, account))


def _image_folder(root: Path, name: str) -> Path | None:
    return next((path for path in (root / name, root / "images" / name) if path.is_dir()), None)


def _split(root: Path, name: str, encoding: str, account: Account) -> Spool[CaptionedImage]:
    folder, annotations = _image_folder(root, name), root / "annotations" / f"captions_{name}.json"
    if folder is None or not annotations.is_file():
        raise UserError(f"data.path={root} is not MS-COCO: {name}/ or annotations/captions_{name}.json is missing")
    try:
        names, captions = _read(annotations, encoding, account)
    except (ijson.JSONError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"data.path={root}: {annotations} is not an MS-COCO annotation file ({error!r})") from error
    images: Spool[CaptionedImage] = Spool()
    for image_id, file_name in names.items():
        try:
            images.append(_image(root, folder, file_name, captions.pop(image_id, [])))
        except (OSError, ValueError):
            account.skip(f"{name}/{file_name}", "no such image")
    if captions:
        rest = sum(map(len, captions.values()))
        account.note(f"{annotations.name}: captions of images that it does not list are not used ({rest})")
    return images


def _image(root: Path, folder: Path, file_name: str, captions: list[str]) -> CaptionedImage:
    """Find an image by its `file_name`, a path below its split's folder, or below the root (`train2014/0.jpg`).

    Raises:
        OSError: there is no such file.
        ValueError: the path leads outside, or is no path.
    """
    written = posixpath.normpath(file_name.replace("\\", "/"))
    if posixpath.isabs(written) or written.startswith(".."):
        raise ValueError("outside")
    places = [place / written for place in (folder, root, root / "images")]
    path = next((path for path in places if path.is_file()), places[0])
    return image_file(path, path.relative_to(root).as_posix(), captions)


def _read(annotations: Path, encoding: str, account: Account) -> tuple[dict[int, str], dict[int, list[str]]]:
    """Read file names and captions by image id."""
    items = open_json(annotations, encoding)
    names = {entry["id"]: entry["file_name"] for entry in items("images")}
    captions: dict[int, list[str]] = {}
    for number, entry in enumerate(items("annotations")):
        try:
            text = one_caption(checked(entry["caption"], encoding))
        except ValueError as error:
            account.skip_captions(f"{annotations.name}:annotations[{number}]", error)
            continue
        if text:
            captions.setdefault(entry["image_id"], []).append(text)
    return names, captions
