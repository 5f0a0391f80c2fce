"""The styled layers of G as functions with written-out gradients (see `derivatives`), and what all layers derive first.

Feature maps and their convolutions have the dtype of x. Styles, demodulation and sums over pixels have the dtype of the
parameters: squares of large styles overflow in half precision.

Shapes: N batch, I and O channels in and out, H = W resolution, S style width.
"""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipgan.models.networks.derivatives import (
    SLOPE,
    convolution_backward,
    pixels,
    scaled_product,
    slope_backward,
    written_out,
)
from clipgan.models.networks.resample import upsample, upsample_backward
from clipgan.models.networks.scaled_parameters import scale_and_cast

SQRT2 = 2**0.5


class StyleOptions(NamedTuple):
    """The constants of a styled layer, whose style's factor of x is s = gain * (affine_gain * A style + b)."""

    gain: float
    affine_gain: float
    up: bool = False


class Derived(NamedTuple):
    """What a pass derives of a styled layer before its maps.

    It has no gradient where the function writes that out.
    """

    scale: Tensor  # [N, I], s
    square: Tensor  # [N, I], s^2
    energy: Tensor  # [O, I], the sum of w^2 over the kernel
    demodulation: Tensor  # [N, O], d
    # in the dtype of x:
    modulation: Tensor  # [N, I], s
    factor: Tensor  # [N, O], d
    weight: Tensor  # [O, I, K, K]
    strength: Tensor  # a scalar
    shift: Tensor  # [O], sqrt 2 * bias
    noise: Tensor  # [N, 1, H', H'], sqrt 2 * noise


class DerivedColours(NamedTuple):
    """What a pass derives of a layer that makes RGB."""

    scale: Tensor  # [N, I], s
    own: Tensor  # [N, 3, I], the samples' own matrices, in the dtype of x


class StyledParameters(NamedTuple):
    """The parameters of a styled layer, and its style [N, S]."""

    style: Tensor
    affine: Tensor  # [I, S]
    affine_bias: Tensor  # [I]
    weight: Tensor  # [O, I, K, K]


def derive(
    layers: Sequence[StyledParameters], strengths: Sequence[Tensor], biases: Sequence[Tensor],
    options: Sequence[StyleOptions], noise: Sequence[Tensor], dtype: torch.dtype,
) -> list[Derived]:  # fmt: skip
    """Derive for all styled layers together: a GPU takes one kernel for what would be a dozen.

    Args:
        layers: parameters and styles.
        strengths, biases: a scalar and [O] of each layer.
        options: of each layer.
        noise: [N, 1, H', H'] for each layer.
        dtype: of x.
    """
    count, weights = len(layers), [layer.weight for layer in layers]
    with _deriving(weights[0].device):
        scales = _scales(layers, options)
        squares = torch._foreach_mul(scales, scales)
        energies = [square.sum(dim=(2, 3)) for square in torch._foreach_mul(weights, weights)]
        demodulations = torch._foreach_rsqrt([
            torch.addmm(_row(len(energy), 0.5e-8, energy.device, energy.dtype), square, energy.t(), alpha=0.5)
            for square, energy in zip(squares, energies, strict=True)
        ])  # fmt: skip
        # apart: a path length's first gradient passes through the styles, and needs none of the weights
        of_styles = scale_and_cast([*scales, *demodulations], [1.0] * (2 * count), dtype)
        of_layers = scale_and_cast(
            [*weights, *strengths, *biases, *noise], [1.0] * (2 * count) + [SQRT2] * (2 * count), dtype
        )
    used = (*of_styles, *of_layers)
    in_dtype = [used[first : first + count] for first in range(0, len(used), count)]
    return [Derived(*row) for row in zip(scales, squares, energies, demodulations, *in_dtype, strict=True)]


def derive_colours(
    layers: Sequence[StyledParameters], options: Sequence[StyleOptions], dtype: torch.dtype
) -> list[DerivedColours]:
    """Derive for all layers that make RGB; see `derive`."""
    with _deriving(layers[0].weight.device):
        scales = _scales(layers, options)
        own = [layer.weight.flatten(1) * scale[:, None] for layer, scale in zip(layers, scales, strict=True)]
        return [DerivedColours(*row) for row in zip(scales, scale_and_cast(own, [1.0] * len(own), dtype), strict=True)]


@contextmanager
def _deriving(device: torch.device) -> Iterator[None]:
    """Compute in the dtype of the parameters, and leave the gradient to functions that write it out."""
    gradient = torch.is_grad_enabled() and not written_out()
    with torch.set_grad_enabled(gradient), torch.autocast(device.type, enabled=False):
        yield


def _scales(layers: Sequence[StyledParameters], options: Sequence[StyleOptions]) -> list[Tensor]:
    """Return s [N, I] of each layer."""
    ready = scale_and_cast(
        [*(layer.affine for layer in layers), *(layer.affine_bias for layer in layers)],
        [*(option.gain * option.affine_gain for option in options), *(option.gain for option in options)],
        layers[0].weight.dtype,
    )
    affine, shifts = ready[: len(layers)], ready[len(layers) :]
    return [
        torch.addmm(shift, layer.style, matrix.t()) for shift, layer, matrix in zip(shifts, layers, affine, strict=True)
    ]


def per_map(factors: Tensor) -> Tensor:
    """View [N, I] as [N, I, 1, 1]."""
    return factors[:, :, None, None]


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


@functools.lru_cache  # a CUDA graph can record a later use, but not the first
def _row(length: int, value: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return a vector of one value: cuBLAS adds a vector to a product in the product's own kernel, but no scalar."""
    return torch.full((length,), value, device=device, dtype=dtype)


def _affine_backward(
    gradient: Tensor, style: Tensor, affine: Tensor, options: StyleOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the style, A and b from the gradient of s [N, I]."""
    ones = _row(len(gradient), 1.0, gradient.device, gradient.dtype)
    of_bias = torch.addmv(gradient[0], gradient.t(), ones, beta=0, alpha=options.gain)  # it does not read gradient[0]
    gain = options.gain * options.affine_gain
    return scaled_product(gradient, affine, gain), scaled_product(gradient.t(), style, gain), of_bias
