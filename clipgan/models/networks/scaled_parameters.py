"""The parameters of many layers, scaled and cast in a few operations."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class ScaledParameters(torch.autograd.Function):
    """Each parameter times its gain, in another dtype. A GPU takes one kernel for dozens of parameters."""

    @staticmethod
    def forward(ctx: Any, gains: Sequence[float], dtype: torch.dtype, *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.gains, ctx.dtype = gains, parameters[0].dtype
        ctx.set_materialize_grads(False)  # a parameter that no loss reads has no gradient
        return tuple(cast(torch._foreach_mul(list(parameters), gains), dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        present = [
            (gradient, gain) for gradient, gain in zip(gradients, ctx.gains, strict=True) if gradient is not None
        ]
        exact = cast([gradient for gradient, _ in present], ctx.dtype)
        found = iter(torch._foreach_mul(list(exact), [gain for _, gain in present]))
        return None, None, *(None if gradient is None else next(found) for gradient in gradients)


def cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> Sequence[Tensor]:
    """Cast tensors, which share a dtype, in one operation; return them as they are if they have `dtype` already."""
    if tensors[0].dtype == dtype:
        return tensors
    copies = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    torch._foreach_copy_(copies, list(tensors))
    return copies
