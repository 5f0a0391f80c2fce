"""The parameters of many layers, scaled and cast in a few operations."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def scale_and_cast(tensors: Sequence[Tensor], gains: Sequence[float], dtype: torch.dtype) -> Sequence[Tensor]:
    """Return each tensor times its gain, in `dtype`. A GPU takes one kernel for dozens of tensors.

    Gradients pass, also twice.

    Args:
        tensors: of any shapes; of one dtype.
        gains: one for each tensor.
        dtype: of the result.
    """
    if torch.compiler.is_compiling():
        return [(tensor * gain).to(dtype) for tensor, gain in zip(tensors, gains, strict=True)]
    if not torch.is_grad_enabled():
        return _computed(tensors, gains, dtype)
    scaled: tuple[Tensor, ...] = _Scaled.apply(gains, dtype, *tensors)
    return scaled


class _Scaled(torch.autograd.Function):
    """A linear map, whose gradient is the same map with the dtypes exchanged."""

    @staticmethod
    def forward(ctx: Any, gains: Sequence[float], dtype: torch.dtype, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.gains, ctx.dtype = gains, tensors[0].dtype
        ctx.set_materialize_grads(False)  # a parameter that no loss reads has no gradient
        return tuple(_computed(tensors, gains, dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        present = [
            (gradient, gain) for gradient, gain in zip(gradients, ctx.gains, strict=True) if gradient is not None
        ]
        if not present:  # a gradient that is differentiated again may come without any
            return None, None, *gradients
        found = iter(_Scaled.apply([gain for _, gain in present], ctx.dtype, *(gradient for gradient, _ in present)))
        return None, None, *(None if gradient is None else next(found) for gradient in gradients)


def _computed(tensors: Sequence[Tensor], gains: Sequence[float], dtype: torch.dtype) -> Sequence[Tensor]:
    """Scale in the wider of the two dtypes: small gradients times a small gain vanish in half precision."""
    if torch.finfo(dtype).bits > torch.finfo(tensors[0].dtype).bits:
        return _times(_cast(tensors, dtype), gains)
    return _cast(_times(tensors, gains), dtype)


def _times(tensors: Sequence[Tensor], gains: Sequence[float]) -> Sequence[Tensor]:
    """Multiply each tensor by its gain; those with gain 1 stay as they are."""
    places = [place for place, gain in enumerate(gains) if gain != 1]
    if not places:
        return tensors
    result = list(tensors)
    products = torch._foreach_mul([tensors[place] for place in places], [gains[place] for place in places])
    for place, product in zip(places, products, strict=True):
        result[place] = product
    return result


def _cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> Sequence[Tensor]:
    """Cast tensors, which share a dtype, in one operation; return them as they are if they have `dtype` already."""
    if tensors[0].dtype == dtype:
        return tensors
    copies = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    torch._foreach_copy_(copies, list(tensors))
    return copies
