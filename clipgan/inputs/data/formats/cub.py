"""`data=cub`: Caltech-UCSD Birds 200-2011 with ten captions for each image by Reed et al. (arXiv:1605.05395).

    PATH/CUB_200_2011/images/001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg
    PATH/text_c10/001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.txt    (or PATH/text/...)

Each folder may lie in PATH itself or one level below. The first of these that exists defines the held-out split: the
classes in Reed's `testclasses.txt` (the split of text-to-image papers), the images in AttnGAN's
`test/filenames.pickle`, the test images in CUB's own `train_test_split.txt`.
"""

from pathlib import Path

from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.files import Found, Listing, found
from clipgan.inputs.data.formats.folder import check_captioned
from clipgan.inputs.data.formats.official_split import split_by_names
from clipgan.inputs.data.images import CaptionedImage, image_file, read_captions


def find(root: Path, config: DataConfig) -> Found:
    """Find the birds below `root`, sorted by class and name; `config` is unused.

    Raises:
        UserError: images or captions are missing.
    """
    pictures, texts = _below(root, "images"), _below(root, "text_c10") or _below(root, "text")
    if pictures is None or texts is None:
        missing = "images/" if pictures is None else "text_c10/ (or text/), the captions of Reed et al."
        raise UserError(f"data.path={root} is not CUB-200-2011 with captions: it has no {missing}")
    paths = sorted(pictures.glob("*/*.jpg"))
    if not paths:
        raise UserError(f"data.path={root} is not CUB-200-2011: {pictures} has no CLASS/NAME.jpg")
    names = [f"{path.parent.name}/{path.stem}" for path in paths]
    images = [
        image_file(path, pictures, read_captions(texts / f"{name}.txt"))
        for path, name in zip(paths, names, strict=True)
    ]
    check_captioned(images, root, f"into {texts}/CLASS/NAME.txt, one on each line")
    return found(
        _zero_shot_split(root, images) or split_by_names(root, images, names, []) or _cub_split(root, images)
        or Listing(images)
    )  # fmt: skip


def _below(root: Path, name: str) -> Path | None:
    """Return `root/name` or the first `root/*/name` that exists."""
    return next((path for path in (root / name, *sorted(root.glob(f"*/{name}"))) if path.exists()), None)


def _zero_shot_split(root: Path, images: list[CaptionedImage]) -> Listing | None:
    path = _below(root, "testclasses.txt")
    if path is None:
        return None
    classes = set(path.read_text(encoding="utf-8").split())
    held = [image.name.partition("/")[0] in classes for image in images]
    return _listing(images, held)


def _cub_split(root: Path, images: list[CaptionedImage]) -> Listing | None:
    """Read CUB's own split: `images.txt` has lines `ID PATH`, `train_test_split.txt` lines `ID 1` (train) or `ID 0`."""
    paths, training = _below(root, "images.txt"), _below(root, "train_test_split.txt")
    if paths is None or training is None:
        return None
    path_of, flag_of = (
        dict(line.split(maxsplit=1) for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
        for file in (paths, training)
    )
    heldout = {path.strip() for number, path in path_of.items() if flag_of.get(number, "1").strip() == "0"}
    return _listing(images, [image.name in heldout for image in images])


def _listing(images: list[CaptionedImage], held: list[bool]) -> Listing:
    marked = list(zip(images, held, strict=True))
    return Listing([image for image, out in marked if not out], [image for image, out in marked if out])
