"""A convolution that is fast to differentiate twice; after NVIDIA's conv2d_gradfix (NVlabs/stylegan2-ada-pytorch).

PyTorch writes the second derivative with respect to the weights as a convolution whose kernel has the size of an image.
Here it is the same weight gradient as in the first derivative.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from clipgan.models.networks.derivatives import inputs_only, twice

OWN = ("cuda",)  # types of devices that use it; on a CPU at 32 and 64 pixels it is not faster than PyTorch's


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int | None = None,
    transposed: bool = False,
) -> Tensor:
    """Convolve [N, I, H, H] with [O, I, K, K]: [N, O, H', H'].

    Args:
        x, weight, bias: as of `F.conv2d`; with `transposed` as of `F.conv_transpose2d`, whose weight is [I, O, K, K].
        stride: pixels.
        padding: pixels; None: K // 2, which keeps the size if K is odd and `stride` 1.
        transposed: convolve as the gradient of the other convolution does.
    """
    padding = weight.shape[2] // 2 if padding is None else padding
    if not (twice() and x.device.type in OWN):
        return (F.conv_transpose2d if transposed else F.conv2d)(x, weight, bias, stride=stride, padding=padding)
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    y: Tensor = _Convolution.apply(x, weight, _Geometry(stride, padding, 0, transposed))
    return y if bias is None else y + bias[:, None, None]


class _Geometry(NamedTuple):
    """How a convolution moves over its argument."""

    stride: int
    padding: int
    margin: int  # rows and columns that a transposed convolution adds: several sizes become the same one with a stride
    transposed: bool

    def reversed(self, x: Tensor, y: Tensor, weight: Tensor) -> "_Geometry":
        """Return the geometry of the gradient with respect to x, which maps y's shape to x's."""
        margin = 0
        if not self.transposed:
            margin = x.shape[2] - ((y.shape[2] - 1) * self.stride - 2 * self.padding + weight.shape[2])
        return _Geometry(self.stride, self.padding, margin, not self.transposed)

    def arguments(self) -> tuple[list[int], list[int], list[int], bool, list[int], int]:
        """Return the arguments of PyTorch's operations: stride, padding, dilation, transposed, margin, groups."""
        return [self.stride] * 2, [self.padding] * 2, [1, 1], self.transposed, [self.margin] * 2, 1


class _Convolution(torch.autograd.Function):
    """A convolution, or the transposed one, which is the gradient of the other's argument."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, geometry: _Geometry) -> Tensor:
        ctx.geometry = geometry
        ctx.save_for_backward(x, weight)
        return torch.ops.aten.convolution.default(x, weight, None, *geometry.arguments())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight = None, None
        if ctx.needs_input_grad[0]:
            of_x = _Convolution.apply(gradient, weight, ctx.geometry.reversed(x, gradient, weight))
        if ctx.needs_input_grad[1] and not inputs_only():
            of_weight = _WeightGradient.apply(gradient, x, weight, ctx.geometry)
        return of_x, of_weight, None


class _WeightGradient(torch.autograd.Function):
    """The gradient of `_Convolution` with respect to its weight; it is linear in `gradient` and in `x`."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor, geometry: _Geometry) -> Tensor:
        ctx.geometry = geometry
        ctx.save_for_backward(gradient, x)
        _, of_weight, _ = torch.ops.aten.convolution_backward.default(
            gradient, x, weight, None, *geometry.arguments(), [False, True, False]
        )
        return of_weight

    @staticmethod
    def backward(ctx: Any, direction: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        gradient, x = ctx.saved_tensors
        of_gradient, of_x = None, None
        if ctx.needs_input_grad[0]:
            of_gradient = _Convolution.apply(x, direction, ctx.geometry)
        if ctx.needs_input_grad[1]:
            of_x = _Convolution.apply(gradient, direction, ctx.geometry.reversed(x, gradient, direction))
        return of_gradient, of_x, None, None
