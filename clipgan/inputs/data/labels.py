"""The class of each image, for data sets that have classes.

`shapes`: combinations of attributes, of the left or upper object and of the whole picture, as its caption says.
`emoji`: the package's own categories. `imagefolder`, `cifar10`, `cifar100`: the folder of an image's name.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from clipgan.base.errors import UserError
from clipgan.inputs.data.pack import SPLITS, PackedData, Split
from clipgan.inputs.data.shapes_captions import parse_caption

ARRANGEMENTS = {None: "alone", "left of": "beside", "right of": "beside", "above": "over", "below": "over"}
SECOND_LEADS = ("right of", "below")  # what a caption says of an object that stands on the right, or below


@dataclass(frozen=True)
class Labels:
    """The classes of a data set."""

    classes: list[str]  # sorted
    train: np.ndarray  # int64, the place of each training image's class in `classes`
    heldout: np.ndarray  # the same of the held-out images


def load_labels(data: PackedData, attributes: Sequence[str]) -> Labels:
    """The classes of both splits.

    Args:
        data: the packed data set.
        attributes: which ones make the classes of drawn shapes: shape, colour, size (of the left or upper object),
            background, relation (alone, beside, over).

    Raises:
        UserError: the data set has no classes.
    """
    if data.name not in CLASS_NAMES:
        raise UserError(
            f"data={data.name} has no classes, which linear evaluation needs: take one of {', '.join(CLASS_NAMES)}"
        )
    names = {split: CLASS_NAMES[data.name](getattr(data, split), attributes) for split in SPLITS}
    classes = sorted(set(names["train"]) | set(names["heldout"]))
    if len(classes) < 2:
        raise UserError(f"data={data.name} has one class ({classes[0]}), and linear evaluation needs two at least")
    if not set(names["train"]) & set(names["heldout"]):
        classes_of = " and ".join(f"{split} images {min(names[split])}, ..." for split in SPLITS)
        raise UserError(
            f"data={data.name}: no held-out image is of a class that training images have, and linear evaluation would "
            f"get none right ({classes_of}); give both splits the same classes"
        )
    place = {name: index for index, name in enumerate(classes)}
    train, heldout = (np.array([place[name] for name in names[split]], dtype=np.int64) for split in SPLITS)
    return Labels(classes, train, heldout)


def of_shapes(split: Split, attributes: Sequence[str]) -> list[str]:
    """`star red` for each picture, by its caption."""
    found = []
    for captions in split.captions:
        said = parse_caption(captions[0])
        leading = said.things[1 if said.relation in SECOND_LEADS else 0]
        values = {"shape": leading.shape, "colour": leading.colour, "size": leading.size,
                  "background": said.background, "relation": ARRANGEMENTS[said.relation]}  # fmt: skip
        found.append(" ".join(values[name] for name in attributes))
    return found


def of_emoji(split: Split, attributes: Sequence[str]) -> list[str]:
    """`animals & nature` for each picture: the second caption is `NAME, CATEGORY, SUBCATEGORY`."""
    return [captions[1].removeprefix(f"{captions[0]}, ").partition(", ")[0] for captions in split.captions]


def of_folders(split: Split, attributes: Sequence[str]) -> list[str]:
    """The last folder of each image's name: `train/n01440764/x.JPEG` is of class `n01440764`."""
    assert split.names is not None
    with split.names.open(encoding="utf-8") as lines:
        return [PurePosixPath(json.loads(line)).parent.name for line in lines]


CLASS_NAMES: dict[str, Callable[[Split, Sequence[str]], list[str]]] = {
    "shapes": of_shapes,
    "emoji": of_emoji,
    "imagefolder": of_folders,
    "cifar10": of_folders,
    "cifar100": of_folders,
}
