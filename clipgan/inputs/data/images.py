"""Reading captioned images: each is opened, cropped to its centre square, resized, and decoded ahead of its use."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image

from clipgan.inputs.data.pack import Record

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
AHEAD = 8  # images in flight for each decoding thread


class CaptionedImage(NamedTuple):
    """An image, in a file of its own or inside an archive, and its captions (there may be none)."""

    name: str  # path below the data set's root, for messages
    captions: list[str]
    open: Callable[[], IO[bytes]]
    state: tuple[int, ...] = ()  # size and modification time of a file; empty for an archive's member


def image_file(path: Path, root: Path, captions: list[str]) -> CaptionedImage:
    """Describe the image file `path` below `root`.

    Raises:
        OSError: the file does not exist.
    """
    stat = path.stat()
    name = path.relative_to(root).as_posix()
    return CaptionedImage(name, captions, partial(_open, path), (stat.st_size, stat.st_mtime_ns))


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def caption_lines(text: str) -> list[str]:
    """Split a text into captions, one for each non-empty line; drop a leading byte order mark."""
    return [line.strip() for line in text.removeprefix("\ufeff").splitlines() if line.strip()]


def read_captions(path: Path) -> list[str]:
    """Read captions from a text file, one for each line; return none if the file is missing."""
    return caption_lines(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else []


def read_images(images: Sequence[CaptionedImage], resolution: int) -> Iterator[Record | str]:
    """Yield `read_record` of each image in order, decoded by one thread for each core.

    At most `AHEAD` images for each thread are in memory at a time.
    """
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        rest = iter(images)
        flying: deque[Future[Record | str]] = deque()

        def submit(next_images: Iterable[CaptionedImage]) -> None:
            flying.extend(pool.submit(read_record, image, resolution) for image in next_images)

        submit(islice(rest, AHEAD * threads))
        while flying:
            yield flying.popleft().result()
            submit(islice(rest, 1))


def read_record(image: CaptionedImage, resolution: int) -> Record | str:
    """Decode an image at the target resolution, or return a sentence that says why it cannot be used."""
    try:
        with image.open() as file, Image.open(file) as picture:
            return Record(square(picture, resolution), image.captions, image.name)
    except Exception as error:  # Pillow's decoders and the archives raise many kinds of errors for damaged files
        return f"{image.name}: unreadable image ({' '.join(str(error).split()) or type(error).__name__})"


def square(image: Image.Image, resolution: int) -> np.ndarray:
    """Composite on white, crop the centre square, resize it (Lanczos) to uint8 [resolution, resolution, 3].

    Crop and filter are the same as `center-crop` in StyleGAN2-ADA's dataset_tool, which LAFITE also uses.

    Raises:
        ValueError: the pixels are 32-bit integers or floating-point numbers: no range says which value is white.
    """
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    if image.mode.startswith("I;16"):  # 16-bit greyscale: Pillow's own conversion would clip at 255
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixel values (mode {image.mode}) have no known range, so white is undefined")
    image = image.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    if image.size != (side, side):  # crop first, so that the filter mixes no pixels from outside the square
        image = image.crop((left, top, left + side, top + side))
    return np.asarray(image.resize((resolution, resolution), Image.Resampling.LANCZOS))
