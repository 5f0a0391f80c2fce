"""StyleGAN2's resampling with the filter [1, 3, 3, 1] (arXiv:1912.04958, appendix B), zeros outside the image.

Filters ignore autocast and compute in the dtype of their input: half precision for features, float32 for colours.

Shapes: N batch, I channels, H = W resolution.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from clipgan.models.networks.constants import constant

TAPS = (1.0, 3.0, 3.0, 1.0)
PRODUCTS = ("cuda",)  # types of devices that filter by matrix products; a GPU's depthwise convolutions are slow


@constant
def kernel(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the two-dimensional filter, [1, 1, 4, 4], whose sum is 1."""
    taps = _taps(device, dtype)
    return torch.outer(taps, taps)[None, None]


def blur(x: Tensor, padding: int, stride: int = 1) -> Tensor:
    """Filter each channel of [N, I, H, H]: [N, I, H', H'] with H' = (H + 2 padding - 4) // stride + 1."""
    if x.device.type in PRODUCTS:
        return _by_products(x, _blurring(x.shape[2], padding, stride, x.device, x.dtype))
    weight = kernel(x.device, x.dtype).expand(x.shape[1], 1, 4, 4)
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(x, weight, padding=padding, stride=stride, groups=x.shape[1])


def upsample(x: Tensor) -> Tensor:
    """Upsample [N, I, H, H] to [N, I, 2H, 2H]: insert zeros between the pixels, then filter with gain 4."""
    if x.device.type in PRODUCTS:
        return _by_products(x, _upsampling(x.shape[2], x.device, x.dtype))
    weight = (4 * kernel(x.device, x.dtype)).expand(x.shape[1], 1, 4, 4)
    with torch.autocast(x.device.type, enabled=False):
        return F.conv_transpose2d(x, weight, stride=2, padding=1, groups=x.shape[1])


def _by_products(x: Tensor, matrix: Tensor) -> Tensor:
    """Apply a matrix [H', H] to the columns and the rows of each channel: [N, I, H, H] -> [N, I, H', H'].

    In the layout channels_last, both are products of whole matrices, which read and write the map once each.
    """
    n, channels, size = x.shape[:3]
    rows = x.permute(0, 2, 3, 1)  # contiguous in the layout channels_last
    with torch.autocast(x.device.type, enabled=False):
        down = torch.bmm(matrix.expand(n, -1, -1), rows.reshape(n, size, size * channels))
        lines = down.reshape(-1, size, channels)  # of pixels: N H' lines of H pixels
        across = torch.bmm(matrix.expand(len(lines), -1, -1), lines)
    return across.unflatten(0, (n, -1)).permute(0, 3, 1, 2)


@constant
def _blurring(size: int, padding: int, stride: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the matrix [H', H] by which `blur` filters an edge of `size` pixels; its entries are exact."""
    taps = _taps(device, torch.float64)[None, None]
    return _matrix(size, device, partial(F.conv1d, weight=taps, padding=padding, stride=stride)).to(dtype)


@constant
def _upsampling(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the matrix [2H, H] by which `upsample` filters an edge of `size` pixels; its entries are exact."""
    taps = 2 * _taps(device, torch.float64)[None, None]
    return _matrix(size, device, partial(F.conv_transpose1d, weight=taps, padding=1, stride=2)).to(dtype)


def _matrix(size: int, device: torch.device, filtered: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the matrix of a linear map of lines [size, 1, size].

    Its edge of a round number of pixels is contiguous in memory: a GPU reads others slowly.
    """
    matrix = filtered(torch.eye(size, device=device, dtype=torch.float64)[:, None])[:, 0]  # [H, H']
    return matrix.T.contiguous() if size % 8 == 0 else matrix.contiguous().T


def _taps(device: torch.device, dtype: torch.dtype) -> Tensor:
    taps = torch.tensor(TAPS, device=device, dtype=dtype)
    return taps / taps.sum()
