"""`data=imagefolder`: one folder of images for each class, the layout of ImageNet.

PATH/train/CLASS/NAME.JPEG and PATH/val/CLASS/NAME.JPEG (or validation, valid, test), or PATH/CLASS/NAME.JPEG with a
random split. An image's caption is `a photo of a CLASS`. `PATH/classes.txt` may name folders such as n01440764; its
lines are `n01440764 tench, Tinca tinca`.
"""

from pathlib import Path

from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.files import Found, Listing, found
from clipgan.inputs.data.formats.folder import image_paths
from clipgan.inputs.data.formats.metadata import HELDOUT, TRAIN
from clipgan.inputs.data.images import CaptionedImage, image_file
from clipgan.inputs.data.spool import Spool

NAMES = "classes.txt"
PROMPT = "a photo of a {}"  # CLIP's own


def find(root: Path, config: DataConfig) -> Found:
    """Find the images below `root`, sorted by class and name; `config` is unused.

    Raises:
        UserError: there is no image, or an image lies outside the folders of classes.
    """
    names = class_names(root / NAMES)
    train, heldout = (next((root / name for name in some if (root / name).is_dir()), None) for some in (TRAIN, HELDOUT))
    if train is None or heldout is None:
        return found(Listing(_images(root, root, names)))
    return found(Listing(_images(train, root, names), _images(heldout, root, names)))


def class_names(path: Path) -> dict[str, str]:
    """Read names of classes: the line `n01440764 tench, Tinca tinca` gives `tench`; empty if there is no such file."""
    if not path.is_file():
        return {}
    lines = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines())
    return {parts[0]: parts[1].partition(",")[0].strip() for parts in lines if len(parts) == 2}


def _images(folder: Path, root: Path, names: dict[str, str]) -> Spool[CaptionedImage]:
    images: Spool[CaptionedImage] = Spool()  # there may be millions
    for path in image_paths(folder):
        if path.parent == folder:
            raise UserError(f"data.path={root}: {path.relative_to(root)} is not in a class's folder (CLASS/NAME.png)")
        kind = path.parent.name
        images.append(image_file(path, root, [PROMPT.format(names.get(kind, kind.replace("_", " ")))]))
    return images
