"""DiffAugment (arXiv:2006.10738): every transform is applied to every image.

Shapes: N images, R resolution. A transform draws its numbers once and returns a function that applies them at any
resolution, so that all scales of a multi-scale network are changed in the same way.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from clipgan.models.augmentation.rows import Rows

Apply = Callable[[Tensor], Tensor]  # [N, 3, R, R] -> the same shape
SHIFT = 1 / 8  # largest shift, fraction of the edge
HOLE = 1 / 2  # edge of the cutout, fraction of the image's edge


def draw_colour(rows: Rows) -> Apply:
    """Draw brightness (summand from -0.5 to 0.5), saturation (factor 0 to 2), contrast (factor 0.5 to 1.5)."""
    brightness, saturation, contrast = rows.uniform() - 0.5, rows.uniform() * 2, rows.uniform() + 0.5
    return partial(colour, brightness=brightness, saturation=saturation, contrast=contrast)


def colour(images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Add brightness, scale about each pixel's grey, then scale about the image's mean, by [N] numbers each."""
    x = images + wide(brightness)
    grey = x.mean(dim=1, keepdim=True)
    x = (x - grey) * wide(saturation) + grey
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - mean) * wide(contrast) + mean


def draw_translation(rows: Rows) -> Apply:
    """Draw shifts by whole pixels, up to an eighth of the edge in each direction."""
    return partial(translation, right=rows.uniform(), down=rows.uniform())


def translation(images: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Shift by whole pixels and fill with 0; the [N] numbers go from 0 (furthest left, up) to 1 (right, down)."""
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
    """Draw the centre of a square hole anywhere in the image; the square may be partly outside."""
    return partial(cutout, x=rows.uniform(), y=rows.uniform())


def cutout(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Set a square to 0; its centre is at the [N] fractions `x` of the width and `y` of the height."""
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
    """Gather rows (`dim` 2) or columns (3) of each image by their indices `source`, int64 [N, R]."""
    return images.gather(dim, along(source, dim).expand_as(images))


def along(numbers: Tensor, dim: int) -> Tensor:
    """Reshape [N, R] to [N, 1, R, 1] (`dim` 2) or [N, 1, 1, R] (`dim` 3)."""
    return numbers[:, None, :, None] if dim == 2 else numbers[:, None, None, :]


def wide(numbers: Tensor) -> Tensor:
    """Reshape [N] to [N, 1, 1, 1]."""
    return numbers[:, None, None, None]


TRANSFORMS: dict[str, Callable[[Rows], Apply]] = {
    "colour": draw_colour,
    "translation": draw_translation,
    "cutout": draw_cutout,
}
