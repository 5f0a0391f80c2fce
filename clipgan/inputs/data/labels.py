"""The class of each image, for data sets that have classes.

`shapes`: attributes read from the caption, of the left or upper object and of the whole picture.
`emoji`: the package's own categories. `imagefolder`, `cifar10`, `cifar100`: the second part of an image's name.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clipgan.base.errors import UserError
from clipgan.inputs.data.pack import SPLITS, PackedData, Split
from clipgan.inputs.data.shapes_captions import parse_caption

ARRANGEMENTS = {None: "alone", "left of": "beside", "right of": "beside", "above": "over", "below": "over"}
SECOND_LEADS = ("right of", "below")  # relations whose second object is the left or upper one


@dataclass(frozen=True)
class Labels:
    """The classes of a data set."""

    classes: list[str]  # sorted
    train: np.ndarray  # int64 [N], index in `classes` for each training image
    heldout: np.ndarray  # int64 [N], the same for the held-out images


def require_classes(name: str) -> None:
    """Refuse a kind of data without classes; asked before the data are packed.

    Raises:
        UserError: `data=NAME` has none.
    """
    if name not in CLASS_NAMES:
        raise UserError(
            f"data={name} has no classes, and linear evaluation needs them: use one of {', '.join(CLASS_NAMES)}"
        )


def load_labels(data: PackedData, attributes: Sequence[str]) -> Labels:
    """Return the classes of both splits.

    Args:
        data: the packed data set.
        attributes: the attributes that make up a class of drawn shapes: shape, colour, size (of the left or upper
            object), background, relation (alone, beside, over). Other data sets ignore them.

    Raises:
        UserError: the data set has no classes or one class, or the two splits share no class.
    """
    require_classes(data.name)
    names = {split: CLASS_NAMES[data.name](getattr(data, split), attributes) for split in SPLITS}
    classes = sorted(set(names["train"]) | set(names["heldout"]))
    if len(classes) < 2:
        raise UserError(f"data={data.name} has one class ({classes[0]}), and linear evaluation needs at least two")
    if not set(names["train"]) & set(names["heldout"]):
        classes_of = " and ".join(f"{split} images {min(names[split])}, ..." for split in SPLITS)
        raise UserError(
            f"data={data.name}: no held-out image is of a class that training images have ({classes_of}), so linear "
            "evaluation would get none right; give both splits the same classes"
        )
    place = {name: index for index, name in enumerate(classes)}
    train, heldout = (np.array([place[name] for name in names[split]], dtype=np.int64) for split in SPLITS)
    return Labels(classes, train, heldout)


def of_shapes(split: Split, attributes: Sequence[str]) -> list[str]:
    """Return class names such as `star red`, one for each image, from its first caption."""
    names = []
    for captions in split.captions:
        scene = parse_caption(captions[0])
        leading = scene.things[1 if scene.relation in SECOND_LEADS else 0]
        values = {"shape": leading.shape, "colour": leading.colour, "size": leading.size,
                  "background": scene.background, "relation": ARRANGEMENTS[scene.relation]}  # fmt: skip
        names.append(" ".join(values[name] for name in attributes))
    return names


def of_emoji(split: Split, attributes: Sequence[str]) -> list[str]:
    """Return the category of each image, such as `animals & nature`: caption 2 is `NAME, CATEGORY, SUBCATEGORY`."""
    return [captions[1].removeprefix(f"{captions[0]}, ").partition(", ")[0] for captions in split.captions]


def of_folders(split: Split, attributes: Sequence[str]) -> list[str]:
    """Return the second part of each image's name: `train/n01440764/images/x.JPEG` is of class `n01440764`."""
    assert split.names is not None
    with split.names.open(encoding="utf-8") as lines:
        return [json.loads(line).split("/")[1] for line in lines]


CLASS_NAMES: dict[str, Callable[[Split, Sequence[str]], list[str]]] = {
    "shapes": of_shapes,
    "emoji": of_emoji,
    "imagefolder": of_folders,
    "cifar10": of_folders,
    "cifar100": of_folders,
}
