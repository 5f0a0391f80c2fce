"""DiffAugment (arXiv:2006.10738): each image is changed every time.

Shapes: N images, R resolution. A transform draws its numbers once, and gives what applies them at any resolution, so
that the scales of a multi-scale network are changed alike.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from clipgan.models.augmentation.rows import Rows

Apply = Callable[[Tensor], Tensor]  # [N, 3, R, R] -> the same shape
SHIFT = 1 / 8  # of the edge, at most
HOLE = 1 / 2  # of the edge


def draw_colour(rows: Rows) -> Apply:
    """Brightness by up to half, saturation up to doubled, contrast from half to one and a half."""
    brightness, saturation, contrast = rows.uniform() - 0.5, rows.uniform() * 2, rows.uniform() + 0.5
    return partial(colour, brightness=brightness, saturation=saturation, contrast=contrast)


def colour(images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Add; scale about each pixel's grey; scale about the image's mean: by [N] numbers, one after the other."""
    x = images + wide(brightness)
    grey = x.mean(dim=1, keepdim=True)
    x = (x - grey) * wide(saturation) + grey
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - mean) * wide(contrast) + mean


def draw_translation(rows: Rows) -> Apply:
    """By whole pixels, up to an eighth of the edge each way."""
    return partial(translation, right=rows.uniform(), down=rows.uniform())


def translation(images: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Shift by whole pixels; what comes in is 0. [N] numbers: 0 is furthest left or up, 1 furthest right or down."""
    most = int(images.shape[-1] * SHIFT + 0.5)
    for share, dim in ((right, 3), (down, 2)):
        pixels = (share * (2 * most + 1)).floor().clamp(max=2 * most) - most
        images = _shift(images, pixels.long(), dim)
    return images


def _shift(images: Tensor, pixels: Tensor, dim: int) -> Tensor:
    size = images.shape[dim]
    source = torch.arange(size, device=images.device) - pixels[:, None]  # [N, R]
    inside = (source >= 0) & (source < size)
    return take(images, source.clamp(0, size - 1), dim) * along(inside, dim)


def draw_cutout(rows: Rows) -> Apply:
    """A square of half the edge, anywhere, also half outside."""
    return partial(cutout, x=rows.uniform(), y=rows.uniform())


def cutout(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Set a square to 0 whose centre is at the [N] shares `x` of the width and `y` of the height."""
    size = images.shape[-1]
    edge = int(size * HOLE + 0.5)
    places = size + 1 - edge % 2

    def covered(share: Tensor) -> Tensor:
        start = (share * places).floor().clamp(max=places - 1) - edge // 2
        distance = torch.arange(size, device=images.device) - start[:, None]  # [N, R]
        return (distance >= 0) & (distance < edge)

    hole = along(covered(y), 2) & along(covered(x), 3)
    return images * ~hole


def take(images: Tensor, source: Tensor, dim: int) -> Tensor:
    """Rows (`dim` 2) or columns (3) of each image in another order: `source` says which, int64 [N, R]."""
    return images.gather(dim, along(source, dim).expand_as(images))


def along(numbers: Tensor, dim: int) -> Tensor:
    """[N, R] -> [N, 1, R, 1] or [N, 1, 1, R], with R in `dim`."""
    return numbers[:, None, :, None] if dim == 2 else numbers[:, None, None, :]


def wide(numbers: Tensor) -> Tensor:
    """[N] -> [N, 1, 1, 1]."""
    return numbers[:, None, None, None]


TRANSFORMS: dict[str, Callable[[Rows], Apply]] = {
    "colour": draw_colour,
    "translation": draw_translation,
    "cutout": draw_cutout,
}
