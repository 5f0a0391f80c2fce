"""Limits on what a data set may bring: each is far above any real data, and keeps one bad item from ending all.

A fault is a ValueError with one sentence. The caller skips and lists the item; a fault in a table that all items need
ends the command.
"""

import threading
import zipfile
import zlib
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any

import numpy as np
import psutil
from PIL import Image

TEXT_BYTES = 1 << 24  # a text file of captions, or a member of an archive with them
CAPTION_LETTERS = 300_000  # CLIP reads some 77 tokens
WORD_LETTERS = 2000  # CLIP's tokenizer takes quadratic time for a word: 0.1 s for this one, hours for a million letters
CAPTIONS = 1000  # of an image; each costs a pass of CLIP's text tower, and a text of 16 MB could hold millions
IMAGE_BYTES = 1 << 28  # an image file inside an archive
JSON_DIGITS, JSON_DEPTH = 4000, 100  # of a number; of nested brackets (real tables: 20 and 4)
JSON_ITEM = 1 << 25  # bytes of an item of a list (real tables: 100,000)
JSON_LIST = 2  # brackets around the items of a list such as {"images": [ITEM, ITEM]}
BYTES_PER_PIXEL = 16  # while an image is decoded: RGBA, its composite, RGB and what Pillow copies
MEMORY_SHARE = 0.25  # of the free memory, for all images that are decoded at once, or for the bytes of a table

PIECE = 1 << 24  # bytes of JSON at a time
STEPS = np.zeros(256, dtype=np.int8)  # what each byte adds to the depth
STEPS[list(b"[{")], STEPS[list(b"]}")] = 1, -1
NO_MARKS = bytes(byte for byte in range(256) if byte not in b'[]{}"')
DIGITS = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))
ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError)  # RuntimeError: it is encrypted


def check_text_size(size: int) -> None:
    """Refuse a text file or member that is too large; a sparse or compressed one is small only on the disk."""
    if size > TEXT_BYTES:
        raise ValueError(f"it has {size} bytes, and captions at most {TEXT_BYTES}")


def check_caption(text: str) -> str:
    """Return a caption unchanged, unless it or one of its words is too long."""
    if len(text) > CAPTION_LETTERS:
        raise ValueError(f"it has {len(text)} letters, and a caption at most {CAPTION_LETTERS}")
    longest = max(map(len, text.split()), default=0)
    if longest > WORD_LETTERS:
        raise ValueError(f"it has a word of {longest} letters, and a word may have {WORD_LETTERS}")
    return text


def check_table_size(size: int) -> None:
    """Refuse a table that is read as a whole and does not fit into memory; a sparse one is small only on the disk."""
    free = MEMORY_SHARE * psutil.virtual_memory().available
    if size > free:
        raise ValueError(f"it has {size / 1e9:.1f} GB, and reading it needs more memory than is free")


def check_image_size(size: int) -> None:
    """Refuse an image inside an archive that is too large."""
    if size > IMAGE_BYTES:
        raise ValueError(f"it has {size} bytes, and an image in an archive at most {IMAGE_BYTES}")


def read_text_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a text from a zip."""
    check_text_size(archive.getinfo(name).file_size)
    try:
        return archive.read(name)
    except ARCHIVE_ERRORS as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def open_image_member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open an image in a zip."""
    check_image_size(archive.getinfo(name).file_size)
    return archive.open(name)


def check_json(file: IO[bytes]) -> None:
    """Refuse JSON that streaming parsers cannot take, in a tenth of the time that these need.

    ijson's C library crashes on an integer of thousands of digits, and takes quadratic memory for nested brackets.

    A parser also holds a whole item of a list, such as an image's row, which a zip may compress to a thousandth.

    Raises:
        ValueError: a number has more than `JSON_DIGITS` digits, `JSON_DEPTH` brackets are open at once, or an item has
            more than `JSON_ITEM` bytes (some of up to a piece more pass).
    """
    depth = quotes = item = 0  # of the pieces before
    held = digits = b""
    while piece := file.read(PIECE):
        whole = (held + piece).rstrip(b"\\")  # a backslash and the letter after it stay together
        held = (held + piece)[len(whole) :]
        check_text_size(len(held))
        digits = digits[1 - JSON_DIGITS :] + whole.translate(DIGITS)
        if b"0" * JSON_DIGITS in digits:
            raise ValueError(f"it has a number of more than {JSON_DIGITS} digits")
        bare = whole.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, NO_MARKS)
        marks = np.frombuffer(bare, dtype=np.uint8)
        counts = quotes + np.cumsum(marks == ord('"'), dtype=np.int32)
        depths = depth + np.cumsum(np.where(counts % 2 == 0, STEPS[marks], 0), dtype=np.int32)
        if len(marks):
            depth, quotes = int(depths[-1]), int(counts[-1]) % 2
            if depths.max() > JSON_DEPTH:
                raise ValueError(f"it has more than {JSON_DEPTH} brackets inside each other")
        ends = len(marks) > 0 and depths.min() <= JSON_LIST  # an item that began in an earlier piece
        item = 0 if ends else item + len(whole)
        if item > JSON_ITEM:
            raise ValueError(f"it has an item of more than {JSON_ITEM} bytes")


class DecodingMemory:
    """The memory that images may take while several threads decode them."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._alone = threading.Lock()
        self.budget = MEMORY_SHARE * psutil.virtual_memory().available  # bytes

    def reserved(self, image: Image.Image) -> AbstractContextManager[Any]:
        """Return the context in which an opened image is decoded: alone, if as many as threads would not fit.

        Raises:
            ValueError: not even one fits.
        """
        width, height = image.size
        needed = BYTES_PER_PIXEL * width * height
        if needed > self.budget:
            raise ValueError(
                f"it has {width} x {height} pixels, and decoding it would take {needed / 1e9:.1f} GB of memory, more "
                f"than {self.budget / 1e9:.1f} GB"
            )
        return self._alone if needed > self.budget / self.threads else nullcontext()
