"""`data=celeba_hq`: Multi-Modal-CelebA-HQ (arXiv:2012.03308), faces with ten captions each.

PATH/images/0.jpg, ... (or PATH/image/images, PATH/CelebA-HQ-img)
PATH/text/celeba-caption/0.txt, ... (or PATH/celeba-caption), one caption on each line
PATH/train/filenames.pickle, PATH/test/filenames.pickle: the official split; without them the split is random
"""

from pathlib import Path

from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.files import Found, Listing, found
from clipgan.inputs.data.formats.folder import check_captioned, image_paths
from clipgan.inputs.data.formats.official_split import split_by_names
from clipgan.inputs.data.images import image_file, read_captions

IMAGES = ("images", "image/images", "image", "CelebA-HQ-img", "CelebAMask-HQ/CelebA-HQ-img")
TEXTS = ("text/celeba-caption", "celeba-caption")


def find(root: Path, config: DataConfig) -> Found:
    """Find the faces below `root`, in the order of their numbers; `config` is unused.

    Raises:
        UserError: images or captions are missing.
    """
    pictures, texts = (
        next((root / name for name in names if (root / name).is_dir()), None) for names in (IMAGES, TEXTS)
    )
    if pictures is None or texts is None:
        missing = " or ".join(f"{name}/" for name in (IMAGES if pictures is None else TEXTS))
        raise UserError(f"data.path={root} is not Multi-Modal-CelebA-HQ: it has no {missing}")
    paths = sorted(image_paths(pictures), key=lambda path: (len(path.stem), path.stem))
    images = [image_file(path, pictures, read_captions(texts / f"{path.stem}.txt")) for path in paths]
    check_captioned(images, root, f"into {texts}/NUMBER.txt, one on each line")
    return found(split_by_names(root, images, [path.stem for path in paths], []) or Listing(images))
