"""StyleGAN2's resampling with the filter [1, 3, 3, 1] (arXiv:1912.04958, appendix B), zeros outside the image.

Filters ignore autocast and compute in the dtype of their input: half precision for features, float32 for colours.

Shapes: N batch, I channels, H = W resolution.
"""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = (1.0, 3.0, 3.0, 1.0)


@functools.lru_cache
def kernel(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the two-dimensional filter, [1, 1, 4, 4], whose sum is 1."""
    taps = torch.tensor(TAPS, device=device, dtype=dtype)
    return (torch.outer(taps, taps) / taps.sum().square())[None, None]


def blur(x: Tensor, padding: int, stride: int = 1) -> Tensor:
    """Filter each channel of [N, I, H, H]: [N, I, H', H'] with H' = (H + 2 padding - 4) // stride + 1."""
    weight = kernel(x.device, x.dtype).expand(x.shape[1], 1, 4, 4)
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(x, weight, padding=padding, stride=stride, groups=x.shape[1])


def upsample(x: Tensor) -> Tensor:
    """Upsample [N, I, H, H] to [N, I, 2H, 2H]: insert zeros between the pixels, then filter with gain 4."""
    weight = (4 * kernel(x.device, x.dtype)).expand(x.shape[1], 1, 4, 4)
    with torch.autocast(x.device.type, enabled=False):
        return F.conv_transpose2d(x, weight, stride=2, padding=1, groups=x.shape[1])
