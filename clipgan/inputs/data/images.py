"""Reading captioned images: each is opened, turned upright, cropped to its centre square, resized, ahead of its use."""

import contextlib
import functools
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from clipgan.inputs.data.limits import CAPTIONS, DecodingMemory
from clipgan.inputs.data.pack import Record
from clipgan.inputs.data.text import line_about, one_line

FOREIGN = ("EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5")  # Pillow names them, but needs another program to read them
BY_CONTENT = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # what a file without a known suffix may be
KEY_SCALES = {"L;2": 85, "L;4": 17, "RGB;16B": 1 / 256}  # from a PNG's own depth to the 8 bits that Pillow reads
AHEAD = 8  # images in flight for each decoding thread


class CaptionedImage(NamedTuple):
    """An image, in a file of its own or inside an archive, and its captions (there may be none)."""

    name: str  # path below the data set's root, for messages
    captions: list[str]
    open: Callable[[], IO[bytes]]
    state: tuple[int, ...] = ()  # size and modification time of a file; empty for an archive's member


def image_file(path: Path, name: str, captions: list[str]) -> CaptionedImage:
    """Describe the image file `path`; `name` is its path below the data set's root.

    Raises:
        OSError: the file does not exist.
    """
    stat = path.stat()
    return CaptionedImage(one_line(name), captions, partial(_open, path), (stat.st_size, stat.st_mtime_ns))


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


@functools.cache
def formats() -> list[str]:
    """Return the formats that Pillow reads by itself; EPS, for one, would start Ghostscript."""
    Image.preinit()  # the common formats first: Pillow tries them in this order
    Image.init()
    return [name for name in Image.OPEN if name not in FOREIGN]


@functools.cache
def suffixes() -> frozenset[str]:
    """Return the suffixes of image files that Pillow reads, in lower case, such as `.png`."""
    readable = set(formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in readable)


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Silence Pillow while the block runs, also in the block's own threads: its warnings name no image.

    The filters of warnings belong to the whole process. So the block stands around all images, in one thread: blocks
    around single ones would change the filters in several threads at once, and leave behind those of another.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def has_image_suffix(name: str) -> bool:
    """Whether a name ends like an image's, in any case."""
    return os.path.splitext(name)[1].lower() in suffixes()


def is_image(folder: Path, name: str) -> bool:
    """Whether a file is an image: by its suffix, else (`IMG_1`, `photo.jpg_large`) by its first bytes."""
    if has_image_suffix(name):
        return True
    try:
        with Image.open(folder / name, formats=BY_CONTENT):
            return True
    except Exception:  # whatever Pillow makes of a text or of damaged bytes
        return False


def read_images(images: Sequence[CaptionedImage], resolution: int) -> Iterator[Record | str]:
    """Yield `read_record` of each image in order, decoded by one thread for each core.

    At most `AHEAD` images for each thread are in memory at a time.
    """
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = DecodingMemory(threads)
    with ThreadPoolExecutor(threads) as pool:
        rest = iter(images)
        flying: deque[Future[Record | str]] = deque()

        def submit(next_images: Iterable[CaptionedImage]) -> None:
            flying.extend(pool.submit(read_record, image, resolution, memory) for image in next_images)

        submit(islice(rest, AHEAD * threads))
        while flying:
            yield flying.popleft().result()
            submit(islice(rest, 1))


def read_record(image: CaptionedImage, resolution: int, memory: DecodingMemory) -> Record | str:
    """Decode an image at the target resolution, or return a sentence that says why it cannot be used."""
    if len(image.captions) > CAPTIONS:
        return line_about(image.name, f"it has {len(image.captions)} captions, and an image may have {CAPTIONS}")
    try:
        with image.open() as file, Image.open(file, formats=formats()) as picture, memory.reserved(picture):
            return Record(square(picture, resolution), image.captions, image.name)
    except UnidentifiedImageError:
        return line_about(image.name, "unreadable image (no format that Pillow reads)")
    except Exception as error:  # Pillow's decoders and the archives raise many kinds of errors for damaged files
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        return line_about(image.name, f"unreadable image ({one_line(reason)})")


def square(image: Image.Image, resolution: int) -> np.ndarray:
    """Turn upright, composite on white, crop the centre square, resize it (Lanczos) to uint8 [R, R, 3].

    Crop and filter are the same as `center-crop` in StyleGAN2-ADA's dataset_tool, which LAFITE also uses.

    Raises:
        ValueError: the pixels are 32-bit integers or floating-point numbers: no range says which value is white.
    """
    image = rgb(image)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    if image.size != (side, side):  # crop first, so that the filter mixes no pixels from outside the square
        image = image.crop((left, top, left + side, top + side))
    return np.asarray(image.resize((resolution, resolution), Image.Resampling.LANCZOS))


def rgb(image: Image.Image) -> Image.Image:
    """Return an opened image as a viewer shows it: upright (EXIF), 8 bits of RGB, transparent parts white.

    Raises:
        ValueError: see `square`.
    """
    stored = image.tile[0][3] if isinstance(image, ImageFile.ImageFile) and image.tile else None
    image.load()
    # Turned in place, before Pillow writes the rest of the EXIF data anew. That fails for some cameras' data, and
    # EXIF data that cannot be read at all says nothing about the orientation.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16"):  # 16 bits of grey: Pillow's own conversion would clip at 255
        values = np.asarray(image)
        grey = (values // 257).astype(np.uint8)
        if "transparency" in image.info:
            grey[values == image.info["transparency"]] = 255
        return Image.fromarray(grey).convert("RGB")
    if image.mode == "I" and image.format == "PPM":  # Pillow scales a grey PPM of more than 8 bits to 16 bits
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixel values (mode {image.mode}) have no known range, so white is undefined")
    if isinstance(stored, str) and stored in KEY_SCALES and "transparency" in image.info:
        key = np.multiply(image.info["transparency"], KEY_SCALES[stored]).astype(int).tolist()
        image.info["transparency"] = tuple(key) if isinstance(key, list) else key
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
