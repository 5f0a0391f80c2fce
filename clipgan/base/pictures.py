"""Turn a generator's output into bytes, pictures and sheets of captioned pictures."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

LINE = 18  # pixels of a line of text
LETTERS = 12  # pixels of the letters in it
FONT = Path("mpl-data", "fonts", "ttf", "DejaVuSans.ttf")  # in matplotlib: Latin, Greek, Cyrillic and many signs
NO_LETTER = "\uffff"  # no font has it: it is drawn as the font's box
GRID = "grid.png"  # of `clipgan.sample`, in a folder of its own
SOFTWARE, SAMPLED = "Software", "clipgan.sample"  # key of a PNG's text, and what that grid says: it is no data
MIN_CELL = 64  # pixels; smaller images are enlarged by a whole factor


def to_uint8(images: Tensor) -> Tensor:
    """Convert values from [-1, 1] to uint8 0..255, clamped."""
    return (images * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def to_picture(image: Tensor) -> Image.Image:
    """Convert uint8 [3, R, R] on the CPU to an RGB picture."""
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def draw_grid(
    images: Tensor, captions: Sequence[str], labels: Sequence[str] | None = None, min_cell: int = MIN_CELL
) -> Image.Image:
    """Draw rows of images under their captions; wrap a caption that is wider than its row.

    Args:
        images: uint8 [rows * columns, 3, R, R], row by row.
        captions: one per row.
        labels: one per image, drawn below it; None: no labels.
        min_cell: pixels; smaller images are enlarged by a whole factor.

    Returns:
        The picture. Its `info["rows"]` has the `box` of each row's images (left, top, right, bottom) and their `title`.
    """
    columns, resolution = len(images) // len(captions), images.shape[-1]
    cell = resolution * max(1, -(-min_cell // resolution))
    font = letters()
    texts = [wrap(caption, columns * cell - 8, font) for caption in captions]
    heights = [LINE * len(lines) + cell + (LINE if labels else 0) for lines in texts]
    grid = Image.new("RGB", (columns * cell, sum(heights)), "white")
    draw = ImageDraw.Draw(grid)
    grid.info["rows"] = []
    for row, (top, lines) in enumerate(zip(itertools.accumulate(heights, initial=0), texts, strict=False)):
        for number, line in enumerate(lines):
            draw.text((4, top + LINE * number + 2), line, fill="black", font=font)
        y = top + LINE * len(lines)
        grid.info["rows"].append({"box": [0, y, columns * cell, y + cell], "title": captions[row]})
        for column in range(columns):
            index = row * columns + column
            picture = to_picture(images[index]).resize((cell, cell), Image.Resampling.NEAREST)
            grid.paste(picture, (column * cell, y))
            if labels:
                label = drawable(labels[index], font).strip()
                draw.text((column * cell + 4, y + cell + 2), label, fill="black", font=font)
    return grid


@functools.cache
def letters() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font of captions: matplotlib's, which MLflow brings along, else Pillow's own, which has few letters.

    The import of matplotlib would take a second, so its file is looked up.
    """
    package = find_spec("matplotlib")
    places = [] if package is None else [Path(place, FONT) for place in package.submodule_search_locations or ()]
    found = next((place for place in places if place.is_file()), None)
    return ImageFont.load_default(LETTERS) if found is None else ImageFont.truetype(found, LETTERS)


def drawable(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Write a letter that the font lacks, such as a Chinese one or an emoji, as its number: ` U+9CE5 `."""
    return "".join(letter if _has(font, letter) else f" U+{ord(letter):04X} " for letter in text)


@functools.lru_cache(maxsize=10_000)
def _has(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, letter: str) -> bool:
    return letter.isspace() or bytes(font.getmask(letter)) != bytes(font.getmask(NO_LETTER))


def wrap(text: str, width: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """Split a text into lines, at least one, each at most `width` pixels wide; a wider word is broken anywhere."""
    lines: list[str] = []
    for word in drawable(text, font).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines += _pieces(word, width, font)
    return lines or [""]


def _pieces(word: str, width: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Iterator[str]:
    """Yield the parts of a word that fit; a part has one letter at least."""
    piece = ""
    for letter in word:
        if piece and font.getlength(piece + letter) > width:
            yield piece
            piece = ""
        piece += letter
    yield piece
