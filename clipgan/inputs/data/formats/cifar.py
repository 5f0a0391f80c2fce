"""`data=cifar10`, `data=cifar100`: the published binary version.

CIFAR-10: PATH/data_batch_1.bin to data_batch_5.bin, test_batch.bin, batches.meta.txt (cifar-10-binary.tar.gz).
CIFAR-100: PATH/train.bin, test.bin, fine_label_names.txt (cifar-100-binary.tar.gz).

A record is a label (CIFAR-100: the coarse label, then the fine label; the fine one is used) and 3072 bytes: the red,
green and blue planes of 32 x 32 pixels. The python version is pickled, so it is refused.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.account import Account
from clipgan.inputs.data.archives import open_span
from clipgan.inputs.data.files import Found, Listing, archive_states, fingerprint
from clipgan.inputs.data.formats.imagefolder import PROMPT
from clipgan.inputs.data.images import CaptionedImage
from clipgan.inputs.data.text import lines

PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Version:
    """The file layout of one of the two data sets."""

    folder: str  # the folder inside the archive
    archive: str
    train: tuple[str, ...]
    heldout: tuple[str, ...]
    names: str  # the file of class names, one on each line
    labels: int  # label bytes before the pixels; the last one is the class
    pickled: str  # a file that only the python version has


VERSIONS = {
    "cifar10": Version(
        "cifar-10-batches-bin", "cifar-10-binary.tar.gz", tuple(f"data_batch_{k}.bin" for k in range(1, 6)),
        ("test_batch.bin",), "batches.meta.txt", 1, "data_batch_1",
    ),
    "cifar100": Version(
        "cifar-100-binary", "cifar-100-binary.tar.gz", ("train.bin",), ("test.bin",), "fine_label_names.txt", 2, "train"
    ),
}  # fmt: skip


def find(root: Path, config: DataConfig) -> Found:
    """Find the images, in the order of the files.

    Args:
        root: the unpacked archive, or the folder above it.
        config: `name` is `cifar10` or `cifar100`.

    Raises:
        UserError: a file is missing or damaged, or the folder holds the python version.
    """
    version = VERSIONS[config.name]
    folder = root / version.folder if lookup.is_dir(root / version.folder) else root
    missing = [name for name in (*version.train, *version.heldout, version.names) if not lookup.is_file(folder / name)]
    if missing:
        python = lookup.is_file(folder / version.pickled) or any(folder.glob(f"cifar-*/{version.pickled}"))
        instead = "; the python version in this folder is pickled and therefore not read" if python else ""
        raise UserError(
            f"data.path={root} has no {missing[0]}{instead}: unpack the binary version, {version.archive}, "
            "and give its folder"
        )
    classes = _class_names(folder / version.names)
    files = [folder / name for name in (*version.train, *version.heldout)]

    def listed() -> Listing:
        train, heldout = (_images(folder, names, classes, version) for names in (version.train, version.heldout))
        account = Account()
        account.note(f"held-out images are those of {' and '.join(version.heldout)}")
        return Listing(train, heldout, account)

    return Found(fingerprint([config.name, *classes], archive_states(files, folder)), listed)


def _class_names(path: Path) -> list[str]:
    try:
        classes = lines(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    if not classes:
        raise UserError(f"{path} is damaged: it names no class")
    return classes


def _images(folder: Path, names: Sequence[str], classes: Sequence[str], version: Version) -> list[CaptionedImage]:
    size, images = version.labels + PIXELS, []
    for name in names:
        path = folder / name
        records, rest = divmod(path.stat().st_size, size)
        if rest or not records:
            length = records * size + rest
            raise UserError(f"{path} is damaged: its length is {length}, not a multiple (1, 2, ...) of {size} bytes")
        labels = np.memmap(path, np.uint8, "r", shape=(records, size))[:, version.labels - 1]
        if labels.max() >= len(classes):
            raise UserError(f"{path} is damaged: it has label {labels.max()}, but labels are 0 to {len(classes) - 1}")
        for index, label in enumerate(labels.tolist()):
            opened = partial(_open, path, index * size + version.labels)
            kind = classes[label]
            caption = PROMPT.format(kind.replace("_", " "))
            images.append(CaptionedImage(f"{path.stem}/{kind}/{index:05d}", [caption], opened))
    return images


def _open(path: Path, start: int) -> IO[bytes]:
    """Wrap an image's pixels in a BMP file in memory, since all formats hand over files that Pillow reads."""
    with open_span(path, start, PIXELS) as span:
        pixels = np.frombuffer(span.read(), np.uint8).reshape(3, 32, 32).transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "BMP")
    file.seek(0)
    return file
