"""Layers of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958), built from ordinary convolutions, which are fast.

Shapes: N batch, I and O channels in and out, H = W resolution, S style width.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipgan.config import ModelConfig
from clipgan.models.networks.convolution import conv2d
from clipgan.models.networks.derivatives import SLOPE, once, written_out
from clipgan.models.networks.resample import downsample, upsample
from clipgan.models.networks.styled_functions import SQRT2, StyledConvolution, StyledToRGB, StyleOptions


def leaky_relu(x: Tensor) -> Tensor:
    """Apply leaky ReLU of slope 0.2, scaled by sqrt 2 to keep the variance."""
    return F.leaky_relu(x, SLOPE) * SQRT2


def activate(x: Tensor) -> Tensor:
    """Apply leaky ReLU of slope 0.2 in place, without the factor sqrt 2.

    Leaky ReLU is homogeneous, so callers put the factor into weights and bias, which saves a pass over the feature map.
    """
    return F.leaky_relu(x, SLOPE, inplace=True)


def normalise_second_moment(x: Tensor) -> Tensor:
    """Scale each row of [N, C] to mean square 1."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def scaled(x: Tensor, factor: float) -> Tensor:
    """Multiply x by a factor; skip the product for the usual factor 1."""
    return x if factor == 1 else x * factor


class Linear(nn.Module):
    """Fully connected layer with equalised learning rate."""

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
        y = F.linear(x, self.weight * self.gain, scaled(self.bias, self.bias_gain))
        return activate(y) if self.activate else y


class Conv(nn.Module):
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
        self.gain = 1 / math.sqrt(inputs * kernel * kernel)
        self.scale = scale * SQRT2 if activate else scale
        self.padding = kernel // 2
        self.down = down
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, I, H, H] to [N, O, H, H], or to [N, O, H/2, H/2] with `down`."""
        x = x.contiguous(memory_format=torch.channels_last)  # images may come in another layout, which is slower
        if self.down:
            x = downsample(x)
        bias = None if self.bias is None else scaled(self.bias, self.scale)
        y = conv2d(x, self.weight * (self.gain * self.scale), bias)
        return activate(y) if self.activate else y


class ModulatedConv(nn.Module):
    """Modulated convolution (arXiv:1912.04958, eq. 1-3).

    The style scales the input and the demodulation scales the output, so that one ordinary convolution serves the
    whole batch: conv(x, w s) d = d conv(s x, w).
    """

    def __init__(self, inputs: int, outputs: int, style: int, kernel: int, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.affine = Linear(style, inputs, bias=1.0)
        self.gain = 1 / math.sqrt(inputs * kernel * kernel)
        self.demodulate = demodulate

    def forward(self, x: Tensor, style: Tensor, factor: float = 1.0) -> Tensor:
        """Map x [N, I, H, H] and styles [N, S] to [N, O, H, H]; `factor` scales demodulated outputs only."""
        scale = self.affine(style) * self.gain  # [N, I]
        y = conv2d(x * scale[:, :, None, None], self.weight)
        if not self.demodulate:
            return y
        return y * scaled(demodulation(scale, self.weight), factor)[:, :, None, None].to(y.dtype)

    def parameters_in_order(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the parameters in the order of the functions with written-out gradients."""
        return self.affine.weight, self.affine.bias, self.weight

    def options(self, up: bool = False) -> StyleOptions:
        """Return the constants for the functions with written-out gradients."""
        return StyleOptions(self.gain, self.affine.gain, up)


def demodulation(scale: Tensor, weight: Tensor) -> Tensor:
    """Return the factors [N, O] that give the maps of conv(s x, w) the variance of x, from s [N, I] and w [O, I, K, K].

    They are computed in the dtype of the weight, also under autocast: sums of squares overflow in half precision.
    """
    with torch.autocast(scale.device.type, enabled=False):
        energy = weight.square().sum(dim=(2, 3))  # [O, I]
        return (scale.to(weight.dtype).square() @ energy.T + 1e-8).rsqrt()


class StyledLayer(nn.Module):
    """Modulated 3 x 3 convolution, then noise, bias and activation; `up` doubles the resolution in between."""

    def __init__(self, inputs: int, outputs: int, style: int, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, style, kernel=3)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.up = up

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """Map x [N, I, H, H], styles [N, S], noise [N, 1, H', H'] to [N, O, H', H'], where H' = H, or 2H with `up`."""
        if written_out():
            parameters = (*self.conv.parameters_in_order(), self.noise_strength, self.bias)
            return once(StyledConvolution, x, style, noise, *parameters, self.conv.options(self.up))
        y = self.conv(x, style, factor=SQRT2)
        if self.up:
            y = upsample(y)
        shift = noise * (self.noise_strength * SQRT2) + (self.bias * SQRT2)[:, None, None]
        return activate(y + shift.to(y.dtype))


class ToRGB(nn.Module):
    """Modulated 1 x 1 convolution to RGB, without demodulation."""

    def __init__(self, inputs: int, style: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, 3, style, kernel=1, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map x [N, I, H, H] and styles [N, S] to RGB [N, 3, H, H]."""
        if written_out():
            return once(StyledToRGB, x, style, *self.conv.parameters_in_order(), self.bias, self.conv.options())
        return self.conv(x, style) + self.bias[:, None, None]


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
