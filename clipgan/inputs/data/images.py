"""Captioned images where they lie: opened one at a time, framed as the field does, decoded ahead of their use."""

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
AHEAD = 8  # images in flight for each thread that decodes


class CaptionedImage(NamedTuple):
    """An image file, or one inside an archive, and its captions, if it has any."""

    name: str  # its path below the data set's root, for messages
    captions: list[str]
    open: Callable[[], IO[bytes]]
    state: tuple[
        int, ...
    ] = ()  # changes with its bytes: size and time of a file; none inside an archive, which has them


def image_file(path: Path, root: Path, captions: list[str]) -> CaptionedImage:
    """The image in the file `path` below `root`.

    Raises:
        OSError: there is no such file.
    """
    stat = path.stat()
    name = path.relative_to(root).as_posix()
    return CaptionedImage(name, captions, partial(_open, path), (stat.st_size, stat.st_mtime_ns))


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def caption_lines(text: str) -> list[str]:
    """The non-empty lines of a text, each a caption; a byte order mark is none of it."""
    return [line.strip() for line in text.removeprefix("\ufeff").splitlines() if line.strip()]


def read_captions(path: Path) -> list[str]:
    """The captions in a text file, one a line; none if the file is missing."""
    return caption_lines(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else []


def read_images(images: Sequence[CaptionedImage], resolution: int) -> Iterator[Record | str]:
    """Each image in order as `read_record` gives it, decoded by as many threads as there are cores.

    At most `AHEAD` images for each thread are in memory, however many there are.
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
    """The image at the target resolution, or a sentence that says why it cannot be used."""
    try:
        with image.open() as file, Image.open(file) as picture:
            return Record(square(picture, resolution), image.captions, image.name)
    except Exception as error:  # damaged files make Pillow's decoders and archives raise many kinds
        return f"{image.name}: unreadable image ({' '.join(str(error).split()) or type(error).__name__})"


def square(image: Image.Image, resolution: int) -> np.ndarray:
    """Composite on white, crop the centre square, resize it (Lanczos) to uint8 [resolution, resolution, 3].

    Crop and filter are those of `center-crop` in StyleGAN2-ADA's dataset_tool, which LAFITE uses as well.

    Raises:
        ValueError: whole numbers of 32 bits or floating-point ones, which have no white.
    """
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    if image.mode.startswith("I;16"):  # 16 bits of grey, which Pillow would cut at 255
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"its numbers (mode {image.mode}) have no range that says what is white")
    image = image.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    if image.size != (side, side):  # before the filter, so that nothing outside the square reaches its edges
        image = image.crop((left, top, left + side, top + side))
    return np.asarray(image.resize((resolution, resolution), Image.Resampling.LANCZOS))
