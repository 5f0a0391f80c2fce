"""What G's styled layers derive from styles and parameters before they compute maps.

It is small, and all layers derive it together. Styles and demodulation have the dtype of the parameters: squares of
large styles overflow in half precision.

Shapes: N batch, I and O channels in and out, H' resolution, S style width.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from clipgan.models.networks.constants import row
from clipgan.models.networks.derivatives import written_out
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
    # in the dtype of x if a function writes the gradient out, else of the parameters:
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
            torch.addmm(row(len(energy), 0.5e-8, energy.device, energy.dtype), square, energy.t(), alpha=0.5)
            for square, energy in zip(squares, energies, strict=True)
        ])  # fmt: skip
        # apart: a path length's first gradient passes through the styles, and needs none of the weights
        used = (
            *scale_and_cast([*scales, *demodulations], [1.0] * (2 * count), dtype),
            *scale_and_cast(weights, [1.0] * count, dtype),
            *scale_and_cast(
                [*strengths, *biases, *noise], [1.0] * count + [SQRT2] * (2 * count),
                dtype if written_out() else weights[0].dtype,
            ),
        )  # fmt: skip
    in_dtype = [used[first : first + count] for first in range(0, len(used), count)]
    return [Derived(*fields) for fields in zip(scales, squares, energies, demodulations, *in_dtype, strict=True)]


def derive_colours(
    layers: Sequence[StyledParameters], options: Sequence[StyleOptions], dtype: torch.dtype
) -> list[DerivedColours]:
    """Derive for all layers that make RGB; see `derive`."""
    with _deriving(layers[0].weight.device):
        scales = _scales(layers, options)
        own = [layer.weight.flatten(1) * scale[:, None] for layer, scale in zip(layers, scales, strict=True)]
        used = scale_and_cast(own, [1.0] * len(own), dtype)
    return [DerivedColours(*fields) for fields in zip(scales, used, strict=True)]


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
