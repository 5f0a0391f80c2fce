"""Layers of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958), built from ordinary convolutions, which are fast.

Shapes: N batch, I and O channels in and out, H = W resolution, S style width.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipgan.config import ModelConfig
from clipgan.models.networks.activation import activate
from clipgan.models.networks.convolution import conv2d
from clipgan.models.networks.derivatives import once, pixels, written_out
from clipgan.models.networks.resample import downsample, upsample
from clipgan.models.networks.scaled_parameters import scale_and_cast
from clipgan.models.networks.styled_functions import StyledConvolution, StyledToRGB, shifted
from clipgan.models.networks.styles import (
    SQRT2,
    Derived,
    DerivedColours,
    StyledParameters,
    StyleOptions,
    derive,
    derive_colours,
    per_map,
)


def normalise_second_moment(x: Tensor) -> Tensor:
    """Scale each row of [N, C] to mean square 1."""
    return F.rms_norm(x, x.shape[1:], eps=1e-8)


def scaled(x: Tensor, factor: float) -> Tensor:
    """Multiply x by a factor; skip the product for the usual factor 1."""
    return x if factor == 1 else x * factor


class Equalised(nn.Module):
    """A layer with equalised learning rate: its parameters are multiplied by constants in each pass."""

    weight: nn.Parameter
    bias: nn.Parameter | None
    gain: float  # of the weight
    bias_gain: float
    _ready: tuple[Tensor, Tensor | None] | None = None

    def scaled_parameters(self) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias times their gains."""
        if self._ready is not None:
            return self._ready
        return self.weight * self.gain, None if self.bias is None else scaled(self.bias, self.bias_gain)


def dtype_of_maps(weight: Tensor) -> torch.dtype:
    """Return autocast's dtype where it is on, else the dtype of the weight."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


@contextmanager
def scaled_together(layers: Iterable[Any]) -> Iterator[None]:
    """Scale the parameters of all `Equalised` layers at once while the block runs, and cast them to autocast's dtype.

    A small network has more operations on parameters than on feature maps.
    """
    layers = list(layers)
    dtype = dtype_of_maps(layers[0].weight)
    gains = [layer.gain for layer in layers] + [layer.bias_gain for layer in layers if layer.bias is not None]
    biases = [layer.bias for layer in layers if layer.bias is not None]
    ready = scale_and_cast([*(layer.weight for layer in layers), *biases], gains, dtype)
    of_biases = iter(ready[len(layers) :])
    try:
        for layer, weight in zip(layers, ready, strict=False):
            layer._ready = weight, None if layer.bias is None else next(of_biases)
        yield
    finally:
        for layer in layers:
            layer._ready = None


class Linear(Equalised):
    """Fully connected layer with equalised learning rate."""

    bias: nn.Parameter

    def __init__(
        self, inputs: int, outputs: int, *, bias: float = 0.0, lr_multiplier: float = 1.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr_multiplier))
        scale = SQRT2 if activate else 1.0
        self.gain = scale * lr_multiplier / math.sqrt(inputs)
        self.bias_gain = scale * lr_multiplier
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs] to [N, outputs]."""
        y = F.linear(x, *self.scaled_parameters())
        return activate(y) if self.activate else y


class Conv(Equalised):
    """Convolution with equalised learning rate; `down` averages before it, a quarter of the cost of averaging after."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        bias: bool = True,
        down: bool = False,
        activate: bool = False,
        scale: float = 1.0,
    ) -> None:
        """Make a layer whose output is multiplied by `scale`, in the weights, which saves a pass over a feature map."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.bias_gain = scale * SQRT2 if activate else scale
        self.gain = self.bias_gain / math.sqrt(inputs * kernel * kernel)
        self.padding = kernel // 2
        self.down = down
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, I, H, H] to [N, O, H, H], or to [N, O, H/2, H/2] with `down`."""
        x = x.contiguous(memory_format=torch.channels_last)  # images may come in another layout, which is slower
        if self.down:
            x = downsample(x)
        y = conv2d(x, *self.scaled_parameters())
        return activate(y) if self.activate else y


class ModulatedConv(nn.Module):
    """The parameters of a modulated convolution (arXiv:1912.04958, eq. 1-3).

    The style scales the input and the demodulation scales the output, so that one ordinary convolution serves the
    whole batch: conv(x, w s) d = d conv(s x, w).
    """

    def __init__(self, inputs: int, outputs: int, style: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.affine = Linear(style, inputs, bias=1.0)
        self.gain = 1 / math.sqrt(inputs * kernel * kernel)

    def styled(self, style: Tensor) -> StyledParameters:
        """Return the style and the parameters in the order of the functions with written-out gradients."""
        return StyledParameters(style.to(self.weight.dtype), self.affine.weight, self.affine.bias, self.weight)

    def options(self, up: bool = False) -> StyleOptions:
        """Return the constants for the functions with written-out gradients."""
        return StyleOptions(self.gain, self.affine.gain, up)


class StyledLayer(nn.Module):
    """Modulated 3 x 3 convolution, then noise, bias and activation; `up` doubles the resolution in between."""

    def __init__(self, inputs: int, outputs: int, style: int, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, style, kernel=3)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.up = up

    def forward(self, x: Tensor, style: Tensor, derived: Derived) -> Tensor:
        """Map x [N, I, H, H] and styles [N, S] to [N, O, H', H'], where H' = H, or 2H with `up`.

        Args:
            x, style: maps and styles.
            derived: of this layer, `style` and its noise; see `derived_together`.
        """
        if written_out():
            parameters = (*self.conv.styled(style), self.noise_strength, self.bias)
            return once(StyledConvolution, x, *parameters, derived, self.conv.options(self.up))
        y = conv2d(x * per_map(derived.modulation), derived.weight) * per_map(derived.factor)
        if self.up:
            y = upsample(y)
        return activate(shifted(y, derived.shift, derived.noise * derived.strength))


def derived_together(
    layers: Sequence[StyledLayer], styles: Sequence[Tensor], noise: Sequence[Tensor]
) -> Sequence[Derived]:
    """Derive what the layers need before their maps."""
    return derive(
        [layer.conv.styled(style) for layer, style in zip(layers, styles, strict=True)],
        [layer.noise_strength for layer in layers], [layer.bias for layer in layers],
        [layer.conv.options(layer.up) for layer in layers], noise, dtype_of_maps(layers[0].bias),
    )  # fmt: skip


class ToRGB(nn.Module):
    """Modulated 1 x 1 convolution to RGB, without demodulation."""

    def __init__(self, inputs: int, style: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, 3, style, kernel=1)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, style: Tensor, derived: DerivedColours) -> Tensor:
        """Map x [N, I, H, H] and styles [N, S] to RGB [N, 3, H, H]; see `StyledLayer.forward` for `derived`."""
        if written_out():
            return once(StyledToRGB, x, *self.conv.styled(style), self.bias, derived, self.conv.options())
        y = torch.bmm(derived.own, pixels(x).transpose(1, 2)) + self.bias[:, None]
        return y.unflatten(2, x.shape[2:])


def colours_derived_together(layers: Sequence[ToRGB], styles: Sequence[Tensor]) -> Sequence[DerivedColours]:
    """See `derived_together`."""
    return derive_colours(
        [layer.conv.styled(style) for layer, style in zip(layers, styles, strict=True)],
        [layer.conv.options() for layer in layers], dtype_of_maps(layers[0].bias),
    )  # fmt: skip


def minibatch_stddev(x: Tensor, group: int) -> Tensor:
    """Append one channel: the mean standard deviation over groups of `group` samples (Karras et al. 2018).

    A group consists of consecutive samples, so that micro-batches have the same groups as the whole batch.

    Args:
        x: [N, I, H, H]; N is a multiple of `group`, except in the last batch of an evaluation.
        group: samples in a group; a group of the last batch has gcd(N, `group`) samples.
    """
    n, _, height, width = x.shape
    group = math.gcd(n, group)
    grouped = x.reshape(n // group, group, -1).float()
    centred = grouped - grouped.mean(dim=1, keepdim=True)
    variance = centred.square().mean(dim=1)  # [N / group, I H H]; twice as fast as var() on a CPU
    deviation = (variance + 1e-8).sqrt().mean(dim=1)  # [N / group]
    channel = deviation.repeat_interleave(group).reshape(n, 1, 1, 1).expand(n, 1, height, width)
    return torch.cat([x, channel.to(x.dtype)], dim=1)


def channels_at(model: ModelConfig, resolution: int) -> int:
    """Return the channels at a resolution: min(channel_base / resolution, channel_max) * channel_multiplier."""
    plain = max(1, min(model.channel_base // resolution, model.channel_max))
    return max(1, round(plain * model.channel_multiplier))
