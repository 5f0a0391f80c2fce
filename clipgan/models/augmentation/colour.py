"""StyleGAN2-ADA's colour transforms (arXiv:2006.06676, appendix B) as one affine map of RGB.

Shapes: N images, R resolution.
"""

import math
from functools import partial

import torch
from torch import Tensor

from clipgan.models.augmentation.diffaugment import Apply
from clipgan.models.augmentation.rows import Rows

BRIGHTNESS = 0.2  # standard deviation
CONTRAST = 0.5  # standard deviation of log2 of the factor
SATURATION = 1.0  # standard deviation of log2 of the factor


def draw_colour(rows: Rows, p: Tensor) -> Apply:
    """Draw brightness, contrast, luma flip, hue and saturation, each with probability `p`."""
    brightness = rows.with_probability(p, rows.normal() * BRIGHTNESS, 0.0)
    contrast = rows.with_probability(p, (rows.normal() * CONTRAST).exp2(), 1.0)
    luma_flip = rows.with_probability(p, rows.integer(2), 0.0)
    hue = rows.with_probability(p, (2 * rows.uniform() - 1) * math.pi, 0.0)
    saturation = rows.with_probability(p, (rows.normal() * SATURATION).exp2(), 1.0)
    matrix, shift = colour_map(brightness, contrast, luma_flip, hue, saturation)
    return partial(recolour, matrix=matrix, shift=shift)


def colour_map(
    brightness: Tensor, contrast: Tensor, luma_flip: Tensor, hue: Tensor, saturation: Tensor
) -> tuple[Tensor, Tensor]:
    """Compose five transforms, in the order of the arguments, into one map x -> M x + s.

    Args:
        brightness: [N], the summand.
        contrast: [N], the factor.
        luma_flip: [N], 1: reflect at the plane through black that is perpendicular to the grey axis.
        hue: [N], rotation about the grey axis, radians.
        saturation: [N], the factor of the distance from the grey axis.

    Returns:
        M, [N, 3, 3], and s, [N, 3].
    """
    grey = torch.full((3, 3), 1 / 3, device=hue.device)  # projection onto the grey axis
    unity = torch.eye(3, device=hue.device)
    colours = unity - grey
    cross = unity.roll(1, 0) - unity.roll(1, 1)  # cross product with (1, 1, 1): x -> (z - y, x - z, y - x)
    across = cross / math.sqrt(3)  # rotation by 90 degrees about the grey axis
    flip = unity - 2 * grey * luma_flip[:, None, None]
    turn = grey + colours * hue.cos()[:, None, None] + across * hue.sin()[:, None, None]
    saturate = grey + colours * saturation[:, None, None]
    matrix = saturate @ turn @ flip * contrast[:, None, None]
    return matrix, matrix.sum(dim=2) * brightness[:, None]


def recolour(images: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
    """Compute M x + s for each pixel x: images [N, 3, R, R], M [N, 3, 3], s [N, 3]."""
    # elementwise products: a GPU's matrix product may keep 10 bits only, and the identity map must change nothing
    mixed = (matrix[:, :, :, None, None] * images[:, None]).sum(dim=2)
    return mixed + shift[:, :, None, None]
