"""The styled layers of G as functions with written-out gradients; see `derivatives`.

Products and feature maps have the dtype of x. Demodulation and sums over pixels have the dtype of the parameters.

Shapes: N batch, I and O channels in and out, H = W resolution, S style width.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipgan.models.networks.derivatives import SLOPE, convolution_backward, pixels, scaled_product, slope_backward
from clipgan.models.networks.resample import upsample, upsample_backward

SQRT2 = 2**0.5


class StyleOptions(NamedTuple):
    """The constants of a styled layer, whose style's factor of x is s = gain * (affine_gain * A style + b)."""

    gain: float
    affine_gain: float
    up: bool = False


class StyledConvolution(torch.autograd.Function):
    """Leaky ReLU of d conv(s x, w) + sqrt 2 (strength * noise + bias); `up` doubles the resolution before the noise.

    d [N, O] is the demodulation times sqrt 2: d^2 = 2 / (s^2 @ energy + 1e-8), where energy [O, I] is the sum of w^2.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, style: Tensor, noise: Tensor, affine: Tensor, affine_bias: Tensor, weight: Tensor,
        strength: Tensor, bias: Tensor, options: StyleOptions,
    ) -> Tensor:  # fmt: skip
        """Map x [N, I, H, H], style [N, S], noise [N, 1, H', H'] to [N, O, H', H'], where H' = H, or 2H with `up`."""
        n, inputs = x.shape[:2]
        dtype = x.dtype
        style, affine, used = style.to(dtype), affine.to(dtype), weight.to(dtype)
        scale = _factors(style, affine, affine_bias, options)
        modulated = x * scale.view(n, inputs, 1, 1)
        convolved = F.conv2d(modulated, used, padding=weight.shape[2] // 2)
        square = scale.to(weight.dtype).square()
        energy = weight.square().sum(dim=(2, 3))  # [O, I]
        demodulation = torch.addmm(energy.new_full((), 0.5e-8), square, energy.t(), alpha=0.5).rsqrt_()
        shift, factor = (bias * SQRT2).to(dtype), demodulation.to(dtype)
        y = torch.addcmul(shift.view(-1, 1, 1), convolved, factor.view(n, -1, 1, 1))
        if options.up:
            y = upsample(y)
        F.leaky_relu_(y.addcmul_(noise.to(dtype), strength.to(dtype), value=SQRT2), SLOPE)
        ctx.options = options
        ctx.save_for_backward(
            x, style, noise, affine, weight, used, scale, square, modulated, convolved, energy, demodulation, y
        )
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, the style and the parameters."""
        x, style, noise, affine, weight, used, scale, square, modulated, convolved, energy, demodulation, y = (
            ctx.saved_tensors
        )
        n, inputs = x.shape[:2]
        dtype = weight.dtype
        inner = slope_backward(gradient, y)
        of_strength = (inner.sum(dim=1, keepdim=True, dtype=dtype) * noise).sum().mul_(SQRT2)
        if ctx.options.up:
            inner = upsample_backward(inner)
        of_bias = inner.sum(dim=(0, 2, 3), dtype=dtype).mul_(SQRT2)
        of_demodulation = (inner * convolved).sum(dim=(2, 3), dtype=dtype)  # [N, O]
        inner.mul_(demodulation.to(x.dtype).view(n, -1, 1, 1))
        of_x, of_weight = convolution_backward(inner, modulated, used)
        of_product = of_demodulation.mul_(demodulation.pow(3)).mul_(-0.25)  # of s^2 @ energy
        of_energy = (of_product.t() @ square).view(*weight.shape[:2], 1, 1)
        of_weight = of_weight.to(dtype).addcmul_(weight, of_energy, value=2)
        of_scale = (of_x * x).sum(dim=(2, 3), dtype=dtype).addcmul_(of_product @ energy, scale.to(dtype), value=2)
        of_style, of_affine, of_affine_bias = _affine_backward(of_scale, style, affine, ctx.options)
        of_x.mul_(scale.view(n, inputs, 1, 1))
        return of_x, of_style, None, of_affine, of_affine_bias, of_weight, of_strength, of_bias, None


class StyledToRGB(torch.autograd.Function):
    """A modulated 1 x 1 convolution: for each sample, the product of its own small matrix and its pixels."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, style: Tensor, affine: Tensor, affine_bias: Tensor, weight: Tensor, bias: Tensor,
        options: StyleOptions,
    ) -> Tensor:  # fmt: skip
        """Map x [N, I, H, H] and style [N, S] to RGB [N, 3, H, H] in the dtype of the bias."""
        style, affine, used = style.to(x.dtype), affine.to(x.dtype), weight.flatten(1).to(x.dtype)
        scale = _factors(style, affine, affine_bias, options)
        own = used * scale[:, None]  # [N, 3, I]
        y = torch.bmm(own, pixels(x).transpose(1, 2)).to(bias.dtype).add_(bias[:, None])
        ctx.options = options
        ctx.save_for_backward(x, style, affine, used, scale, own)
        return y.unflatten(2, x.shape[2:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, the style and the parameters."""
        x, style, affine, used, scale, own = ctx.saved_tensors
        inner = gradient.flatten(2)  # [N, 3, H H]
        of_bias = inner.sum(dim=(0, 2))
        inner = inner.to(x.dtype)
        of_x = torch.bmm(inner.transpose(1, 2), own).unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
        of_own = torch.bmm(inner, pixels(x))  # [N, 3, I]
        of_weight = (of_own * scale[:, None]).sum(dim=0)[:, :, None, None]
        of_style, of_affine, of_affine_bias = _affine_backward((of_own * used).sum(dim=1), style, affine, ctx.options)
        return of_x, of_style, of_affine, of_affine_bias, of_weight, of_bias, None


def _factors(style: Tensor, affine: Tensor, bias: Tensor, options: StyleOptions) -> Tensor:
    """Return s [N, I] from the style [N, S]."""
    gain = options.gain
    return torch.addmm(bias.to(style.dtype), style, affine.t(), beta=gain, alpha=gain * options.affine_gain)


def _affine_backward(
    gradient: Tensor, style: Tensor, affine: Tensor, options: StyleOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the style, A and b from the gradient of s [N, I]."""
    of_bias = gradient.sum(dim=0).mul_(options.gain)
    gradient = gradient.to(style.dtype)
    gain = options.gain * options.affine_gain
    return scaled_product(gradient, affine, gain), scaled_product(gradient.t(), style, gain), of_bias
