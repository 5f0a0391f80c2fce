"""The styled layers of G as functions with written-out gradients; see `derivatives`.

Feature maps and their convolutions have the dtype of x. Styles, demodulation and sums over pixels have the dtype of the
parameters: squares of large styles overflow in half precision.

Shapes: N batch, I and O channels in and out, H = W resolution, S style width.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipgan.models.networks.derivatives import SLOPE, convolution_backward, pixels, scaled_product, slope_backward
from clipgan.models.networks.resample import upsample, upsample_backward
from clipgan.models.networks.scaled_parameters import cast

SQRT2 = 2**0.5


class StyleOptions(NamedTuple):
    """The constants of a styled layer, whose style's factor of x is s = gain * (affine_gain * A style + b)."""

    gain: float
    affine_gain: float
    up: bool = False


class Derived(NamedTuple):
    """What a pass derives from a layer's parameters and noise. It has no gradient: the function writes that out."""

    affine_shift: Tensor  # [I], gain * b
    weight: Tensor  # in the dtype of x
    energy: Tensor  # [O, I], the sum of w^2 over the kernel
    shift: Tensor  # [O, 1, 1], sqrt 2 * bias, in the dtype of x
    strength: Tensor  # a scalar, in the dtype of x
    noise: Tensor  # sqrt 2 * noise, in the dtype of x


@torch.no_grad()
def derive(
    affine_biases: Sequence[Tensor], weights: Sequence[Tensor], strengths: Sequence[Tensor], biases: Sequence[Tensor],
    gains: Sequence[float], noise: Sequence[Tensor], dtype: torch.dtype,
) -> list[Derived]:  # fmt: skip
    """Derive the constants of all layers together: a GPU takes one kernel for what would be a dozen.

    Args:
        affine_biases, weights, strengths, biases: [I], [O, I, K, K], a scalar and [O] of each layer.
        gains: of each layer; see `StyleOptions`.
        noise: [N, 1, H', H'] for each layer.
        dtype: of x.
    """
    count = len(weights)
    used = cast([*weights, *strengths, *torch._foreach_mul([*biases, *noise], SQRT2)], dtype)
    squares = torch._foreach_mul(list(weights), list(weights))
    rows = zip(
        torch._foreach_mul(list(affine_biases), gains), used[:count], [square.sum(dim=(2, 3)) for square in squares],
        [shift.view(-1, 1, 1) for shift in used[2 * count : 3 * count]], used[count : 2 * count], used[3 * count :],
        strict=True,
    )  # fmt: skip
    return [Derived(*row) for row in rows]


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
        n, inputs = x.shape[:2]
        scale = _factors(style, affine, derived.affine_shift, options)
        modulation = scale.to(x.dtype).view(n, inputs, 1, 1)
        modulated = x * modulation
        convolved = F.conv2d(modulated, derived.weight, padding=weight.shape[2] // 2)
        square = scale.square()
        smallest = _row(len(weight), 0.5e-8, weight.device, weight.dtype)
        demodulation = torch.addmm(smallest, square, derived.energy.t(), alpha=0.5).rsqrt_()
        factor = demodulation.to(x.dtype).view(n, -1, 1, 1)
        y = torch.addcmul(derived.shift, convolved, factor)
        if options.up:
            y = upsample(y)
        F.leaky_relu_(y.addcmul_(derived.noise, derived.strength), SLOPE)
        ctx.options = options
        ctx.save_for_backward(
            x, style, affine, weight, derived.weight, derived.energy, derived.noise, scale, modulation, square,
            modulated, convolved, demodulation, factor, y,
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
        options: StyleOptions,
    ) -> Tensor:  # fmt: skip
        """Map x [N, I, H, H] and style [N, S] to RGB [N, 3, H, H] in the dtype of the bias."""
        scale, weight = _factors(style, affine, affine_bias * options.gain, options), weight.flatten(1)
        own = (weight * scale[:, None]).to(x.dtype)  # [N, 3, I]
        y = torch.bmm(own, pixels(x).transpose(1, 2)) + bias[:, None]
        ctx.options = options
        ctx.save_for_backward(x, style, affine, weight, scale, own)
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
        return of_x, of_style, of_affine, of_affine_bias, of_weight, of_bias, None


def _factors(style: Tensor, affine: Tensor, shift: Tensor, options: StyleOptions) -> Tensor:
    """Return s [N, I] from the style [N, S] and gain * b."""
    return torch.addmm(shift, style, affine.t(), alpha=options.gain * options.affine_gain)


@functools.lru_cache  # a CUDA graph can record a later use, but not the first
def _row(length: int, value: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return a vector of one value: cuBLAS adds a vector to a product in the product's own kernel, but no scalar."""
    return torch.full((length,), value, device=device, dtype=dtype)


def _affine_backward(
    gradient: Tensor, style: Tensor, affine: Tensor, options: StyleOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the style, A and b from the gradient of s [N, I]."""
    of_bias = gradient.sum(dim=0).mul_(options.gain)
    gain = options.gain * options.affine_gain
    return scaled_product(gradient, affine, gain), scaled_product(gradient.t(), style, gain), of_bias
