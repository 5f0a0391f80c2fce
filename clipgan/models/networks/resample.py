"""Resampling by the factor 2: averages of 2 x 2 pixels, bilinear interpolation, and their gradients.

Shapes: N batch, I channels, H = W resolution.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clipgan.models.networks.constants import constant


def downsample(x: Tensor) -> Tensor:
    """Halve height and width by 2 x 2 averages."""
    if x.is_cuda and not torch.compiler.is_compiling():
        y: Tensor = Averages.apply(x)
        return y
    return F.avg_pool2d(x, 2)


class Averages(torch.autograd.Function):
    """2 x 2 averages; differentiable any number of times.

    On a GPU, PyTorch's pooling of maps in the layout channels_last and its gradient took a third of the step at 256
    pixels; a reduction and a repetition move the same bytes in a fraction of this time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 1)  # contiguous in the layout channels_last
        return rows.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).mean(dim=(2, 4)).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        y: Tensor = Repetition.apply(gradient / 4)
        return y


class Repetition(torch.autograd.Function):
    """Each pixel twice in both directions; differentiable any number of times."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="nearest")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        y: Tensor = Averages.apply(gradient)
        return y * 4


def upsample(x: Tensor) -> Tensor:
    """Double height and width bilinearly: the same as StyleGAN2's [1, 3, 3, 1] filter, except at the border."""
    x = x.contiguous(memory_format=torch.channels_last)  # in other layouts, one thread of a GPU computes all channels
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def upsample_backward(gradient: Tensor) -> Tensor:
    """Return the gradient of `upsample`'s argument: [N, I, 2H, 2H] -> [N, I, H, H]."""
    n, channels, height, width = gradient.shape
    if gradient.is_cuda and torch.are_deterministic_algorithms_enabled():
        return upsample_backward_by_products(gradient)
    size = [n, channels, height // 2, width // 2]
    return torch.ops.aten.upsample_bilinear2d_backward.default(gradient, [height, width], size, False, 2.0, 2.0)


def upsample_backward_by_products(gradient: Tensor) -> Tensor:
    """Compute `upsample_backward` with matrix products: on a GPU, PyTorch's own gradient adds in any order."""
    down, across = (doubling(edge // 2, gradient.dtype, gradient.device) for edge in gradient.shape[2:])
    return (down.T @ gradient @ across).contiguous(memory_format=torch.channels_last)


@constant
def doubling(edge: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix [2 edge, edge] that `upsample` applies to the rows and to the columns."""
    lines = torch.eye(edge, device=device)[None]
    return F.interpolate(lines, scale_factor=2, mode="linear", align_corners=False)[0].T.contiguous().to(dtype)
