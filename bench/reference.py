"""A straightforward StyleGAN2 with LAFITE's text networks, as a reference for the training step.

It has the widths of clipgan/models/networks and the form of the published code: per-sample weights in grouped
convolutions, resampling by zero insertion and a 4-tap filter, contiguous NCHW, float32, a text network for each layer.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipgan.config import ModelConfig
from clipgan.models.networks.discriminator import Discriminator
from clipgan.models.networks.generator import Mapping, TextCode, TextToImage
from clipgan.models.networks.layers import Conv, Linear, channels_at
from clipgan.models.networks.scales import Scales


def upfirdn(x: Tensor, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0), gain: float = 1.0) -> Tensor:
    """Insert zeros, pad, filter with [1, 3, 3, 1] x [1, 3, 3, 1] / 64, drop samples: [N, C, H, H] -> [N, C, H', H']."""
    n, channels, height, width = x.shape
    if up > 1:
        x = F.pad(x.reshape(n, channels, height, 1, width, 1), [0, up - 1, 0, 0, 0, up - 1])
        x = x.reshape(n, channels, height * up, width * up)
    x = F.pad(x, [*pad, *pad])
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = (torch.outer(taps, taps) * gain).expand(channels, 1, 4, 4)
    return F.conv2d(x, kernel.to(x), groups=channels)[:, :, ::down, ::down]


def leaky_relu(x: Tensor) -> Tensor:
    """Apply leaky ReLU of slope 0.2, scaled by sqrt 2 to keep the variance."""
    return F.leaky_relu(x, 0.2) * 2**0.5


class GroupedConv(nn.Module):
    """A modulated convolution with one weight per sample, computed as one grouped convolution."""

    def __init__(self, inputs: int, outputs: int, style: int, kernel: int, demodulate: bool, up: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) / math.sqrt(inputs * kernel * kernel))
        self.affine = Linear(style, inputs, bias=1.0)
        self.demodulate, self.up, self.padding = demodulate, up, kernel // 2

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """[N, I, H, H], [N, S] -> [N, O, H, H], or [N, O, 2H, 2H] with `up`."""
        n, inputs, height, width = x.shape
        weight = self.weight * self.affine(style)[:, None, :, None, None]  # [N, O, I, K, K]
        if self.demodulate:
            weight = weight * (weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        outputs, kernel = weight.shape[1], weight.shape[-1]
        x = x.reshape(1, n * inputs, height, width)
        if self.up:
            weight = weight.transpose(1, 2).reshape(n * inputs, outputs, kernel, kernel)
            y = F.conv_transpose2d(x, weight, stride=2, groups=n)
            y = y.reshape(n, outputs, *y.shape[2:])
            return upfirdn(y, pad=(1, 1), gain=4.0)
        y = F.conv2d(x, weight.reshape(n * outputs, inputs, kernel, kernel), padding=self.padding, groups=n)
        return y.reshape(n, outputs, *y.shape[2:])


class Layer(nn.Module):
    """A styled layer with its own text network."""

    def __init__(self, inputs: int, outputs: int, model: ModelConfig, clip_dim: int, *, rgb: bool, up: bool) -> None:
        super().__init__()
        self.text_code = TextCode(clip_dim, model.text_dim)
        style = model.w_dim + model.text_dim
        self.conv = GroupedConv(inputs, outputs, style, 1 if rgb else 3, demodulate=not rgb, up=up)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = None if rgb else nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, w: Tensor, condition: Tensor, noise: Tensor | None) -> Tensor:
        """[N, I, H, H], [N, W], [N, C], noise unless to RGB -> [N, O, H', H']."""
        y = self.conv(x, torch.cat([w, self.text_code(condition)], dim=1))
        if self.noise_strength is not None:
            y = y + noise * self.noise_strength
        y = y + self.bias[None, :, None, None]
        return y if self.noise_strength is None else leaky_relu(y)


class ReferenceGenerator(TextToImage):
    """The generator with the layers above."""

    def __init__(self, model: ModelConfig, clip_dim: int, resolution: int) -> None:
        super().__init__(Mapping(model.z_dim, model.w_dim, model.mapping_layers), model.z_dim, resolution)
        channels = channels_at(model, 4)
        self.constant = nn.Parameter(torch.randn(1, channels, 4, 4))
        self.blocks = nn.ModuleList()
        size, inputs = 4, channels
        while size <= resolution:
            channels = channels_at(model, size)
            block = nn.ModuleList() if size == 4 else nn.ModuleList(
                [Layer(inputs, channels, model, clip_dim, rgb=False, up=True)]
            )  # fmt: skip
            block.append(Layer(channels, channels, model, clip_dim, rgb=False, up=False))
            block.append(Layer(channels, 3, model, clip_dim, rgb=True, up=False))
            self.blocks.append(block)
            size, inputs = 2 * size, channels

    def scales(self, ws: Tensor, condition: Tensor, noise: Sequence[Tensor]) -> Scales:
        """[N, L, W], [N, C] -> [N, 3, R, R]."""
        x, rgb, place = self.constant.expand(len(ws), -1, -1, -1), None, 0
        for block in self.blocks:
            *layers, to_rgb = block
            for layer in layers:
                x = layer(x, ws[:, place], condition, noise[place])
                place += 1
            own = to_rgb(x, ws[:, place], condition, None)
            rgb = own if rgb is None else upfirdn(rgb, up=2, pad=(2, 1), gain=4.0) + own
        assert rgb is not None
        return Scales(rgb)


class PlainConv(nn.Module):
    """A convolution, then the activation and its gain; with `down`, first the filter, then stride 2."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, activate: bool = True, down: bool = False) -> None:
        super().__init__()
        self.conv = Conv(inputs, outputs, kernel, bias=activate)
        self.activate, self.down = activate, down

    def forward(self, x: Tensor) -> Tensor:
        """[N, I, H, H] -> [N, O, H, H], or [N, O, H/2, H/2] with `down`."""
        weight, bias = self.conv.weight * self.conv.gain, self.conv.bias
        if not self.down:
            y = F.conv2d(x, weight, bias, padding=self.conv.padding)
        elif self.conv.padding:
            y = F.conv2d(upfirdn(x, pad=(2, 2)), weight, bias, stride=2)
        else:
            y = F.conv2d(upfirdn(x, down=2, pad=(1, 1)), weight, bias)
        return leaky_relu(y) if self.activate else y


class ReferenceBlock(nn.Module):
    """A residual block with filtered, strided convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = PlainConv(inputs, inputs, 3)
        self.down = PlainConv(inputs, outputs, 3, down=True)
        self.skip = PlainConv(inputs, outputs, 1, activate=False, down=True)

    def forward(self, x: Tensor) -> Tensor:
        """[N, I, H, H] -> [N, O, H/2, H/2]."""
        return (self.down(self.conv(x)) + self.skip(x)) * math.sqrt(0.5)


class ReferenceDiscriminator(Discriminator):
    """The discriminator with the blocks above."""

    def __init__(self, model: ModelConfig, clip_dim: int, resolution: int) -> None:
        super().__init__(model, clip_dim, resolution)
        widths = [block.down.weight.shape[:2] for block in self.blocks]
        self.from_rgb = PlainConv(3, widths[0][1], 1)
        self.blocks = nn.Sequential(*(ReferenceBlock(inputs, outputs) for outputs, inputs in widths))
