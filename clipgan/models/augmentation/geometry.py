"""StyleGAN2-ADA's general geometric transforms (arXiv:2006.06676, appendix B): one affine map, one resampling.

The wavelet filter sym6 doubles an image's resolution; the map samples it bilinearly; the same filter halves it again.
Pixels outside an image are its reflection.

Shapes: N images, R resolution.
"""

import math
from functools import lru_cache, partial

import torch
from torch import Tensor

from clipgan.models.augmentation.blit import reflected
from clipgan.models.augmentation.diffaugment import Apply
from clipgan.models.augmentation.rows import Rows

SCALE = 0.2  # standard deviation of log2 of the factor
SHIFT = 0.125  # standard deviation, fraction of the edge
# The low-pass filter of the wavelet sym6 (least asymmetric with six vanishing moments, Daubechies 1992).
SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
    0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
    0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
CENTRE = 5  # the tap that falls on a pixel's first half
LAG = sum(number * tap for number, tap in enumerate(SYM6)) / sum(SYM6) - CENTRE  # from this tap to the centroid
MARGIN = 6  # pixels of the doubled image that halving reads beyond an edge


def draw_geometry(rows: Rows, p: Tensor) -> Apply:
    """Draw scale, stretch and shift, each with probability `p`, and two rotations: one or both occur with `p`."""
    one_turn = 1 - (1 - p).sqrt()

    def factor() -> Tensor:
        return rows.with_probability(p, (rows.normal() * SCALE).exp2(), 1.0)

    def angle() -> Tensor:
        return rows.with_probability(one_turn, (2 * rows.uniform() - 1) * math.pi, 0.0)

    scale, before, stretch, after = factor(), angle(), factor(), angle()
    gate = rows.uniform() < p
    shift = torch.stack([torch.where(gate, rows.normal() * SHIFT, 0.0) for _ in range(2)], dim=1)
    return partial(warp, inverse=inverse_map(scale, before, stretch, after), shift=shift)


def inverse_map(scale: Tensor, before: Tensor, stretch: Tensor, after: Tensor) -> Tensor:
    """Return the matrix that maps a position in the result to one in the image, both from the centre: [N, 2, 2].

    Args:
        scale: [N], the factor of the size.
        before: [N], rotation before the stretch, radians.
        stretch: [N], the factor of the width; the factor of the height is 1 / stretch.
        after: [N], rotation after the stretch, radians.
    """
    zero = torch.zeros_like(scale)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, dim=1).unflatten(1, (2, 2))

    def turned_back(angle: Tensor) -> Tensor:
        return matrix(angle.cos(), angle.sin(), -angle.sin(), angle.cos())

    return turned_back(before) @ matrix(1 / stretch, zero, zero, stretch) @ turned_back(after) / scale[:, None, None]


def warp(images: Tensor, inverse: Tensor, shift: Tensor) -> Tensor:
    """Apply an affine map to each image; the identity map changes no bit.

    Args:
        images: [N, 3, R, R].
        inverse: [N, 2, 2], see `inverse_map`.
        shift: [N, 2], fractions of the edge, to the right and down.
    """
    size = images.shape[-1]
    double, halve = resampling(size, images.dtype, images.device)
    doubled = double @ images @ double.T  # [N, 3, 2R, 2R]
    centre = size - 1 + LAG
    place = torch.arange(-MARGIN, 2 * size + MARGIN, device=images.device) - centre
    down, right = torch.meshgrid(place, place, indexing="ij")
    wanted = torch.stack([right, down]).flatten(1) - 2 * size * shift[:, :, None]  # [N, 2, P]
    sampled = bilinear(doubled, inverse @ wanted + centre)
    result = halve @ sampled.unflatten(2, down.shape) @ halve.T
    same = (inverse == torch.eye(2, device=images.device)).flatten(1).all(dim=1) & (shift == 0).all(dim=1)
    return torch.where(same[:, None, None, None], images, result)


@lru_cache
def resampling(size: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the matrix [2R, R] that doubles an edge of R pixels, and [R, 2R + 2 MARGIN] that halves it again."""
    taps = torch.tensor(SYM6) * math.sqrt(2)
    pixel = torch.arange(-MARGIN, size + MARGIN)[:, None].expand(-1, len(taps))
    place = 2 * pixel + torch.arange(len(taps)) - CENTRE
    weight = taps.expand_as(place)
    seen, own = (place >= 0) & (place < 2 * size), (pixel >= 0) & (pixel < size)
    double, halve = torch.zeros(2 * size, size), torch.zeros(size, 2 * size + 2 * MARGIN)
    double.index_put_((place[seen], reflected(pixel[seen], size)), weight[seen], accumulate=True)
    halve[pixel[own], place[own] + MARGIN] = weight[own] / 2
    return double.to(device, dtype), halve.to(device, dtype)


def bilinear(images: Tensor, places: Tensor) -> Tensor:
    """Sample images [N, C, H, H] bilinearly at positions [N, 2, P] (column, row): [N, C, P].

    The code gathers pixels, which PyTorch can differentiate twice (R1 needs this) and repeats bit for bit on a GPU.
    torch.nn.functional.grid_sample does neither.
    """
    size = images.shape[-1]
    folded = (places + 0.5).remainder(2 * size)
    folded = (torch.minimum(folded, 2 * size - folded) - 0.5).clamp(0, size - 1)
    first = folded.floor().clamp(max=size - 2)
    (right, down), (column, row) = (folded - first).unbind(dim=1), first.long().unbind(dim=1)
    flat, start = images.flatten(2), row * size + column

    def at(offset: int, weight: Tensor) -> Tensor:
        index = (start + offset)[:, None].expand(-1, images.shape[1], -1)
        return flat.gather(2, index) * weight[:, None]

    top = at(0, (1 - right) * (1 - down)) + at(1, right * (1 - down))
    return top + at(size, (1 - right) * down) + at(size + 1, right * down)
