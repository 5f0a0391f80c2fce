"""StyleGAN2-ADA's colour transforms (arXiv:2006.06676, appendix B) as one affine map of a pixel's three numbers.

Shapes: N images, R resolution.
"""

import math
from functools import partial

import torch
from torch import Tensor

from clipgan.models.augmentation.diffaugment import Apply
from clipgan.models.augmentation.rows import Rows

BRIGHTNESS = 0.2  # standard deviation
CONTRAST = 0.5  # of log2 of the factor
SATURATION = 1.0  # likewise


def draw_colour(rows: Rows, p: Tensor) -> Apply:
    """Brightness, contrast, luma flip, hue, saturation: each with probability `p`."""
    brightness = rows.perhaps(p, rows.normal() * BRIGHTNESS, 0.0)
    contrast = rows.perhaps(p, (rows.normal() * CONTRAST).exp2(), 1.0)
    luma_flip = rows.perhaps(p, rows.integer(2), 0.0)
    hue = rows.perhaps(p, (2 * rows.uniform() - 1) * math.pi, 0.0)
    saturation = rows.perhaps(p, (rows.normal() * SATURATION).exp2(), 1.0)
    matrix, shift = colour_map(brightness, contrast, luma_flip, hue, saturation)
    return partial(recolour, matrix=matrix, shift=shift)


def colour_map(
    brightness: Tensor, contrast: Tensor, luma_flip: Tensor, hue: Tensor, saturation: Tensor
) -> tuple[Tensor, Tensor]:
    """The map x -> M x + s of five transforms, one after the other.

    Args:
        brightness: [N], added.
        contrast: [N], a factor.
        luma_flip: [N], 1: reflected at the plane through black that is perpendicular to the grey axis.
        hue: [N], radians about the grey axis.
        saturation: [N], the factor of the distance from the grey axis.

    Returns:
        M, [N, 3, 3], and s, [N, 3].
    """
    grey = torch.full((3, 3), 1 / 3, device=hue.device)  # the projection onto the grey axis
    unity = torch.eye(3, device=hue.device)
    colours = unity - grey
    across = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=hue.device) / math.sqrt(
        3
    )  # turns by 90 degrees
    flip = unity - 2 * grey * luma_flip[:, None, None]
    turn = grey + colours * hue.cos()[:, None, None] + across * hue.sin()[:, None, None]
    saturate = grey + colours * saturation[:, None, None]
    matrix = saturate @ turn @ flip * contrast[:, None, None]
    return matrix, matrix.sum(dim=2) * brightness[:, None]


def recolour(images: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
    """M x + s of each pixel: [N, 3, R, R], [N, 3, 3], [N, 3]."""
    # products by element: a GPU's matrix product may keep 10 bits only, and the neutral map must change nothing
    mixed = (matrix[:, :, :, None, None] * images[:, None]).sum(dim=2)
    return mixed + shift[:, :, None, None]
