"""Vectors of unit length."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SHORTEST = 1e-12  # a shorter vector is divided by this


def unit(x: Tensor) -> Tensor:
    """Scale the rows of [N, d] to length 1, as torch.nn.functional.normalize does; differentiable once."""
    y: Tensor = _Unit.apply(x)
    return y


class _Unit(torch.autograd.Function):
    """y = x / |x|. PyTorch's own gradient of it takes three times as many operations."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp_min_(SHORTEST)
        y = x / length
        ctx.save_for_backward(y, length)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        y, length = ctx.saved_tensors
        along = (gradient * y).sum(dim=1, keepdim=True)
        return torch.addcmul(gradient, y, along, value=-1).div_(length)
