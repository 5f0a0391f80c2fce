"""`data=coco`: MS-COCO as downloaded, with five captions for each image; the official validation split is held out.

PATH/annotations/captions_train2014.json, captions_val2014.json (or 2017)
PATH/train2014/COCO_train2014_000000000009.jpg, ..., PATH/val2014/...    (PATH/images/train2014 as well)
"""

import posixpath
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import Any

import ijson

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.account import Account
from clipgan.inputs.data.files import Found, Listing, found
from clipgan.inputs.data.folders import image_files
from clipgan.inputs.data.images import CaptionedImage, image_file
from clipgan.inputs.data.spool import Spool
from clipgan.inputs.data.tables import open_json, texts_of
from clipgan.inputs.data.text import checked, one_caption

SPLITS = ("train", "val")
EXACT = 2**53  # float64 has all whole numbers below


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
    account.note(f"training images are those of train{years[0]}/, held-out images those of val{years[0]}/")
    return found(Listing(train, val, account))


def _image_folder(root: Path, name: str) -> Path | None:
    return next((path for path in (root / name, root / "images" / name) if lookup.is_dir(path)), None)


def _split(root: Path, name: str, encoding: str, account: Account) -> Spool[CaptionedImage]:
    folder, annotations = _image_folder(root, name), root / "annotations" / f"captions_{name}.json"
    if folder is None or not lookup.is_file(annotations):
        raise UserError(f"data.path={root} is not MS-COCO: {name}/ or annotations/captions_{name}.json is missing")
    try:
        names, captions = _read(annotations, encoding, account)
    except (ijson.JSONError, ValueError, AttributeError) as error:
        reason = one_caption(str(error))
        raise UserError(f"data.path={root}: {annotations} is not an MS-COCO annotation file ({reason})") from error
    images: Spool[CaptionedImage] = Spool()
    named = set()
    for image_id, file_name in names.items():
        path = _path(root, folder, file_name)
        if path is None:
            account.skip(f"{name}/{file_name}", "no such image")
        else:
            images.append(image_file(path, path.relative_to(root).as_posix(), captions.pop(image_id, [])))
            named.add(path)
    if captions:
        rest = sum(map(len, captions.values()))
        account.note(f"{annotations.name}: captions of images that are not there or not listed are not used ({rest})")
    for below, file in image_files(folder, account):
        if below.path / file not in named:
            account.other(f"{name}/{below.name_of(file)}", f"an image without captions in {annotations.name}")
    return images


def _path(root: Path, folder: Path, file_name: str) -> Path | None:
    """Find an image by its `file_name`, a path below its split's folder, or below the root (`train2014/0.jpg`).

    None if there is no such file, or if the path leads outside.
    """
    written = posixpath.normpath(file_name.replace("\\", "/"))
    if posixpath.isabs(written) or written.startswith("..") or "\0" in written:
        return None
    forms = dict.fromkeys((written, *(unicodedata.normalize(form, written) for form in ("NFC", "NFD"))))
    places = [place / form for form in forms for place in (folder, root, root / "images")]
    return next((path for path in places if lookup.is_file(path)), None)


def _read(annotations: Path, encoding: str, account: Account) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Read file names and captions by image id; a faulty entry goes to the account, as do images of the same id.

    Raises:
        ValueError: the file lists no image.
    """
    items = open_json(annotations, encoding)
    names: dict[str, str] = {}
    clashes: dict[str, list[str]] = {}
    for number, entry in enumerate(items("images")):
        try:
            image_id, file_name = _fields(entry, "id", "file_name")
        except ValueError as error:
            account.skip(f"{annotations.name}, images[{number}]", f"not an image of MS-COCO ({error})")
            continue
        if names.setdefault(image_id, file_name) != file_name:
            clashes.setdefault(image_id, [names[image_id]]).append(file_name)
    if not names:
        raise ValueError("; ".join(account.skipped()[:1]) or "it lists no images")
    captions: dict[str, list[str]] = {}
    for number, entry in enumerate(items("annotations")):
        try:
            [image_id] = _fields(entry, "image_id")
            if (texts := texts_of(entry, "caption")) is None:
                raise ValueError("its caption is missing")
            texts = [one_caption(checked(text, encoding)) for text in texts]
        except ValueError as error:
            account.skip_captions(f"{annotations.name}, annotations[{number}]", error)
        else:
            captions.setdefault(image_id, []).extend(filter(None, texts))
    for image_id, files in clashes.items():
        del names[image_id]
        captions.pop(image_id, None)
        for file_name in files:
            account.skip(file_name, f"several images have its id ({image_id})")
    return names, captions


def _fields(entry: Any, *keys: str) -> list[str]:
    """Return fields of an entry as strings: ids are whole numbers or strings; pandas writes 7.0 for 7.

    Raises:
        ValueError: a field is missing, or neither a whole number nor a string.
    """
    if not isinstance(entry, dict):
        raise ValueError("it is not an object")
    found = {key: entry.get(key) for key in keys}
    for key, value in found.items():
        if key != "file_name" and isinstance(value, float | Decimal) and -EXACT < value < EXACT and value % 1 == 0:
            found[key] = int(value)
        elif not isinstance(value, str if key == "file_name" else str | int):
            raise ValueError(f"its {key} is missing" if value is None else f"its {key} is {value}")
    return [str(value) for value in found.values()]
