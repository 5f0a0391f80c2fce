"""The styled layers of G as functions with written-out gradients; see `derivatives`.

Feature maps and their convolutions have the dtype of x. Styles, demodulation and sums over pixels have the dtype of the
parameters: squares of large styles overflow in half precision.

Shapes: N batch, I and O channels in and out, H = W resolution, S style width.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipgan.models.networks.constants import row
from clipgan.models.networks.derivatives import (
    SLOPE,
    convolution_backward,
    inputs_only,
    pixels,
    scaled_product,
    slope_backward,
)
from clipgan.models.networks.resample import upsample, upsample_backward
from clipgan.models.networks.styles import SQRT2, Derived, DerivedColours, StyleOptions, per_map


class StyledConvolution(torch.autograd.Function):
    """Leaky ReLU of d conv(s x, w) + sqrt 2 (strength * noise + bias); `up` doubles the resolution before the noise.

    d [N, O] is the demodulation times sqrt 2: d^2 = 2 / (s^2 @ energy + 1e-8), where energy [O, I] is the sum of w^2.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, style: Tensor, affine: Tensor, affine_bias: Tensor, weight: Tensor, strength: Tensor,
        bias: Tensor, derived: Derived, options: StyleOptions,
    ) -> Tensor:  # fmt: skip
        """Map x [N, I, H, H] and style [N, S] to [N, O, H', H'], where H' = H, or 2H with `up`."""
        modulation, factor = per_map(derived.modulation), per_map(derived.factor)
        modulated = x * modulation
        convolved = F.conv2d(modulated, derived.weight, padding=weight.shape[2] // 2)
        y = torch.addcmul(derived.shift[:, None, None], convolved, factor)
        if options.up:
            y = upsample(y)
        F.leaky_relu_(y.addcmul_(derived.noise, derived.strength), SLOPE)
        ctx.options = options
        ctx.save_for_backward(
            x, style, affine, weight, derived.weight, derived.energy, derived.noise, derived.scale, modulation,
            derived.square, modulated, convolved, derived.demodulation, factor, y,
        )  # fmt: skip
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, the style and the parameters."""
        (x, style, affine, weight, used, energy, noise, scale, modulation, square, modulated, convolved, demodulation,
         factor, y) = ctx.saved_tensors  # fmt: skip
        dtype = weight.dtype
        inner = slope_backward(gradient, y)
        of_strength = (inner.sum(dim=1, keepdim=True, dtype=dtype) * noise).sum()
        if ctx.options.up:
            inner = upsample_backward(inner)
        of_bias = inner.sum(dim=(0, 2, 3), dtype=dtype).mul_(SQRT2)
        of_demodulation = (inner * convolved).sum(dim=(2, 3), dtype=dtype)  # [N, O]
        inner.mul_(factor)
        of_x, of_weight = convolution_backward(inner, modulated, used)
        of_product = of_demodulation.mul_(demodulation.pow(3))  # -4 times the gradient of s^2 @ energy
        of_energy = (of_product.t() @ square).view(*weight.shape[:2], 1, 1)
        of_weight = torch.addcmul(of_weight, weight, of_energy, value=-0.5)
        of_scale = (of_x * x).sum(dim=(2, 3), dtype=dtype).addcmul_(of_product @ energy, scale, value=-0.5)
        of_style, of_affine, of_affine_bias = _affine_backward(of_scale, style, affine, ctx.options)
        of_x.mul_(modulation)
        return of_x, of_style, of_affine, of_affine_bias, of_weight, of_strength, of_bias, None, None


class StyledToRGB(torch.autograd.Function):
    """A modulated 1 x 1 convolution: for each sample, the product of its own small matrix and its pixels."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, style: Tensor, affine: Tensor, affine_bias: Tensor, weight: Tensor, bias: Tensor,
        derived: DerivedColours, options: StyleOptions,
    ) -> Tensor:  # fmt: skip
        """Map x [N, I, H, H] and style [N, S] to RGB [N, 3, H, H] in the dtype of the bias."""
        y = torch.bmm(derived.own, pixels(x).transpose(1, 2)) + bias[:, None]
        ctx.options = options
        ctx.save_for_backward(x, style, affine, weight.flatten(1), derived.scale, derived.own)
        return y.unflatten(2, x.shape[2:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, the style and the parameters."""
        x, style, affine, weight, scale, own = ctx.saved_tensors
        inner = gradient.flatten(2)  # [N, 3, H H]
        of_bias = inner.sum(dim=(0, 2))
        inner = inner.to(x.dtype)
        of_x = torch.bmm(inner.transpose(1, 2), own).unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
        of_own = torch.bmm(inner, pixels(x))  # [N, 3, I]; products with float32 are float32
        of_weight = (of_own * scale[:, None]).sum(dim=0)[:, :, None, None]
        of_style, of_affine, of_affine_bias = _affine_backward((of_own * weight).sum(dim=1), style, affine, ctx.options)
        return of_x, of_style, of_affine, of_affine_bias, of_weight, of_bias, None, None


def shifted(y: Tensor, shift: Tensor, noise: Tensor) -> Tensor:
    """Add shift [O] and noise [N, 1, H, H], of the parameters' dtype, to maps [N, O, H, H]; differentiable twice."""
    if torch.compiler.is_compiling():
        return y + (shift[:, None, None] + noise).to(y.dtype)
    if y.dtype == shift.dtype:
        return y + shift[:, None, None] + noise
    return _Shifted.apply(y, shift, noise)


class _Shifted(torch.autograd.Function):
    """Adds in half precision, and sums the gradients in the parameters' dtype: such sums overflow in half precision."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, shift: Tensor, noise: Tensor) -> Tensor:
        ctx.dtype = shift.dtype
        return (y + shift.to(y.dtype)[:, None, None]).add_(noise.to(y.dtype))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        if inputs_only():
            return gradient, None, None
        of_shift = gradient.sum(dim=(0, 2, 3), dtype=ctx.dtype)
        return gradient, of_shift, gradient.sum(dim=1, keepdim=True, dtype=ctx.dtype)


def _affine_backward(
    gradient: Tensor, style: Tensor, affine: Tensor, options: StyleOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the style, A and b from the gradient of s [N, I]."""
    ones = row(len(gradient), 1.0, gradient.device, gradient.dtype)
    of_bias = torch.addmv(gradient[0], gradient.t(), ones, beta=0, alpha=options.gain)  # it does not read gradient[0]
    gain = options.gain * options.affine_gain
    return scaled_product(gradient, affine, gain), scaled_product(gradient.t(), style, gain), of_bias
