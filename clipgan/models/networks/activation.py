"""Leaky ReLU, bounded in LAFITE's networks.

A regulariser differentiates its gradient again. That second derivative is 0 with respect to the activation's argument,
but PyTorch's operations return a map of zeros, and autograd adds it to the argument's gradient: two passes over each
map. The function here returns none.
"""

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clipgan.models.networks.derivatives import SLOPE, slope_backward, twice


def activate(x: Tensor, bound: float | None = None) -> Tensor:
    """Apply leaky ReLU of slope 0.2, in place where it can, without the factor sqrt 2, which would keep the variance.

    Leaky ReLU is homogeneous, so callers put the factor into weights and bias, which saves a pass over the feature map.

    Args:
        x: of any shape.
        bound: the result lies in [-bound, bound], and no gradient passes where it holds. None: no bound.
    """
    if torch.compiler.is_compiling() or (bound is None and not twice()):
        y = F.leaky_relu(x, SLOPE, inplace=True)
        return y if bound is None else y.clamp(-bound, bound)
    return _Activation.apply(x, None if bound is None else _representable(bound, x.dtype))


@functools.lru_cache
def _representable(bound: float, dtype: torch.dtype) -> float:
    """Round the bound to a dtype. Otherwise a value at the bound, which is rounded, could lie within it."""
    return float(torch.tensor(bound, dtype=dtype))


class _Activation(torch.autograd.Function):
    """Leaky ReLU and the bound; only the result is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float | None) -> Tensor:
        y = F.leaky_relu(x, SLOPE)
        if bound is not None:
            y.clamp_(-bound, bound)
        ctx.bound = bound
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        return _Gradient.apply(gradient, y.detach(), ctx.bound), None


class _Gradient(torch.autograd.Function):
    """The gradient of `_Activation`: linear in `gradient`, and constant in y almost everywhere."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, y: Tensor, bound: float | None) -> Tensor:
        ctx.bound = bound
        ctx.save_for_backward(y)
        if bound is not None:
            gradient = torch.ops.aten.hardtanh_backward.default(gradient, y, -bound, bound)
        return slope_backward(gradient, y)

    @staticmethod
    def backward(ctx: Any, direction: Tensor) -> tuple[Tensor, None, None]:
        (y,) = ctx.saved_tensors
        return _Gradient.apply(direction, y, ctx.bound), None, None
