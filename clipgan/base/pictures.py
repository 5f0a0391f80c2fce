"""Turn a generator's output into bytes, pictures and sheets of captioned pictures."""

import itertools
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

LINE = 18  # pixels of a line of text
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
    font = ImageFont.load_default(12)
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
                draw.text((column * cell + 4, y + cell + 2), labels[index], fill="black", font=font)
    return grid


def wrap(text: str, width: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """Split a text into lines, at least one; each is at most `width` pixels wide unless one word is wider."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
