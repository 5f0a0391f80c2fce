"""StyleGAN2-ADA's pixel blitting (arXiv:2006.06676, appendix B): flips, 90 degree rotations, integer shifts.

Shapes: N images, R resolution.
"""

from functools import partial

import torch
from torch import Tensor

from clipgan.models.augmentation.diffaugment import Apply, take, wide
from clipgan.models.augmentation.rows import Rows

SHIFT = 0.125  # largest shift, fraction of the edge


def draw_blit(rows: Rows, p: Tensor) -> Apply:
    """Draw flip, rotation and shift, each with probability `p`."""
    flip = rows.with_probability(p, rows.integer(2), 0.0)
    turns = rows.with_probability(p, rows.integer(4), 0.0)
    gate = rows.uniform() < p
    right, down = (torch.where(gate, (2 * rows.uniform() - 1) * SHIFT, 0.0) for _ in range(2))
    return partial(blit, flip=flip, turns=turns, right=right, down=down)


def blit(images: Tensor, flip: Tensor, turns: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Mirror, rotate, then shift; pixels from outside the image are reflections.

    Args:
        images: [N, 3, R, R].
        flip: [N], 1: mirrored.
        turns: [N], number of 90 degree rotations, counterclockwise.
        right, down: [N], shifts as fractions of the edge; rounded to pixels.
    """
    images = torch.where(wide(flip) == 1, images.flip(3), images)
    turned = images
    for number in (1, 2, 3):
        turned = torch.where(wide(turns) == number, images.rot90(number, (2, 3)), turned)
    for share, dim in ((right, 3), (down, 2)):
        turned = _shift(turned, (share * turned.shape[-1]).round().long(), dim)
    return turned


def reflected(index: Tensor, size: int) -> Tensor:
    """Map any index into 0 to `size` - 1 by reflection at the outer edges of the first and the last pixel."""
    index = index.remainder(2 * size)
    return torch.where(index < size, index, 2 * size - 1 - index)


def _shift(images: Tensor, pixels: Tensor, dim: int) -> Tensor:
    size = images.shape[dim]
    source = reflected(torch.arange(size, device=images.device) - pixels[:, None], size)  # [N, R]
    return take(images, source, dim)
