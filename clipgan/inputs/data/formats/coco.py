"""`data=coco`: MS-COCO as downloaded, with five captions for each image; the official validation split is held out.

PATH/annotations/captions_train2014.json, captions_val2014.json (or 2017)
PATH/train2014/COCO_train2014_000000000009.jpg, ..., PATH/val2014/...    (PATH/images/train2014 as well)
"""

from pathlib import Path

import ijson

from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.files import Found, Listing, found
from clipgan.inputs.data.images import CaptionedImage, image_file
from clipgan.inputs.data.spool import Spool

SPLITS = ("train", "val")


def find(root: Path, config: DataConfig) -> Found:
    """Find the images of both splits below `root`, in the order of the annotations; `config` is unused.

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
    skipped: list[str] = []
    train, val = (_split(root, f"{split}{years[0]}", skipped) for split in SPLITS)
    return found(Listing(train, val, skipped))


def _image_folder(root: Path, name: str) -> Path | None:
    return next((path for path in (root / name, root / "images" / name) if path.is_dir()), None)


def _split(root: Path, name: str, skipped: list[str]) -> Spool[CaptionedImage]:
    folder, annotations = _image_folder(root, name), root / "annotations" / f"captions_{name}.json"
    if folder is None or not annotations.is_file():
        raise UserError(f"data.path={root} is not MS-COCO: {name}/ or annotations/captions_{name}.json is missing")
    try:
        names, captions = _read(annotations)
    except (ijson.JSONError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"data.path={root}: {annotations} is not an MS-COCO annotation file ({error!r})") from error
    images: Spool[CaptionedImage] = Spool()
    for image_id, file_name in names.items():
        try:
            images.append(image_file(folder / Path(file_name).name, root, captions.get(image_id, [])))
        except OSError:
            skipped.append(f"{name}/{file_name}: no such image")
    return images


def _read(annotations: Path) -> tuple[dict[int, str], dict[int, list[str]]]:
    """Read file names and captions by image id as a stream, which needs less memory than the whole file."""
    with annotations.open("rb") as file:
        names = {entry["id"]: entry["file_name"] for entry in ijson.items(file, "images.item")}
    captions: dict[int, list[str]] = {}
    with annotations.open("rb") as file:
        for entry in ijson.items(file, "annotations.item"):
            text = " ".join(entry["caption"].split())
            if text:
                captions.setdefault(entry["image_id"], []).append(text)
    return names, captions
