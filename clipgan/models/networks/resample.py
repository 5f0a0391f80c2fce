"""Resampling by the factor 2: averages of 2 x 2 pixels, bilinear interpolation, and their gradients.

Shapes: N batch, I channels, H = W resolution.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def downsample(x: Tensor) -> Tensor:
    """Halve height and width by 2 x 2 averages."""
    return F.avg_pool2d(x, 2)


def upsample(x: Tensor) -> Tensor:
    """Double height and width bilinearly: the same as StyleGAN2's [1, 3, 3, 1] filter, except at the border."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def upsample_backward(gradient: Tensor) -> Tensor:
    """Return the gradient of `upsample`'s argument: [N, I, 2H, 2H] -> [N, I, H, H]."""
    n, channels, height, width = gradient.shape
    size = [n, channels, height // 2, width // 2]
    return torch.ops.aten.upsample_bilinear2d_backward.default(gradient, [height, width], size, False, 2.0, 2.0)
