"""LAFITE's networks a second time, as plainly as possible: the reference that the converted ones are compared with.

It shares no code with the package. Resampling inserts zeros and sums over the filter's taps, each sample has modulated
weights of its own, each layer is written as the publications and the public repository describe it (see
clipgan.models.networks.lafite). Modules and tensors carry the public names: its pickles must be true to the format.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.import_lafite.pickles import Persistent

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
FILTER = torch.outer(TAPS, TAPS)


def resampled(x, up=1, down=1, before=0, after=0):
    """Zeros between the pixels and around them, the filter with gain up^2, every `down`-th pixel."""
    samples, channels, height, width = x.shape
    spread = x.new_zeros(samples, channels, height * up, width * up)
    spread[:, :, ::up, ::up] = x
    padded = F.pad(spread, (before, after, before, after))
    height, width = padded.shape[2] - 3, padded.shape[3] - 3
    taps = [(i, j) for i in range(4) for j in range(4)]
    y = sum(FILTER[i, j] * padded[:, :, i : i + height, j : j + width] for i, j in taps)
    return (up * up * y)[:, :, ::down, ::down]


def activated(x, bias, gain=1.0, clamp=None, linear=False):
    x = x + bias.reshape(1, -1, *[1] * (x.ndim - 2))
    if not linear:
        slope = torch.ones_like(x).masked_fill_(x.detach() < 0, 0.2)  # a constant, also for the second derivative
        x = x * slope * 2**0.5
    x = x * gain
    return x if clamp is None else x.clip(-clamp * gain, clamp * gain)


def second_moment(x):
    return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


class FullyConnectedLayer(Persistent):
    def __init__(self, inputs, outputs, activation="linear", lr_multiplier=1, bias_init=0):
        super().__init__()
        self.activation = activation
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full([outputs], float(bias_init)))
        self.weight_gain = lr_multiplier / np.sqrt(inputs)  # a scalar of numpy's, as in the public files
        self.bias_gain = lr_multiplier

    def forward(self, x):
        y = x @ (self.weight * float(self.weight_gain)).T
        return activated(y, self.bias * self.bias_gain, linear=self.activation == "linear")


class Conv2dLayer(Persistent):
    def __init__(self, inputs, outputs, kernel, bias=True, down=1, linear=False, conv_clamp=None, trainable=True):
        super().__init__()
        self.linear, self.down, self.conv_clamp = linear, down, conv_clamp
        self.register_buffer("resample_filter", FILTER.clone())
        self.weight_gain = 1 / np.sqrt(inputs * kernel**2)
        weight, bias = torch.randn(outputs, inputs, kernel, kernel), torch.randn(outputs) if bias else None
        if trainable:
            self.weight = nn.Parameter(weight)
            self.bias = nn.Parameter(bias) if bias is not None else None
        else:  # a layer that Freeze-D keeps is made of buffers
            self.register_buffer("weight", weight)
            self.register_buffer("bias", bias)

    def forward(self, x, gain=1.0):
        kernel = self.weight.shape[2]
        if self.down == 2:
            margin = kernel // 2 + 1  # the filter has four taps: one zero more than the kernel needs
            x = resampled(x, before=margin, after=margin)
        y = F.conv2d(x, self.weight * float(self.weight_gain), stride=self.down, padding=kernel // 2 * (self.down == 1))
        bias = torch.zeros(y.shape[1]) if self.bias is None else self.bias
        return activated(y, bias, gain, self.conv_clamp, self.linear)


class MappingNetwork(Persistent):
    def __init__(self, z_dim, w_dim, num_layers):
        super().__init__()
        self.c_dim, self.num_layers = 0, num_layers
        for index in range(num_layers):
            layer = FullyConnectedLayer(z_dim if index == 0 else w_dim, w_dim, "lrelu", lr_multiplier=0.01)
            setattr(self, f"fc{index}", layer)
        self.register_buffer("w_avg", torch.randn(w_dim) * 0.1)

    def forward(self, z, psi):
        w = second_moment(z)
        for index in range(self.num_layers):
            w = getattr(self, f"fc{index}")(w)
        return self.w_avg + psi * (w - self.w_avg)


class Styled(Persistent):
    """What convolution and RGB layers share: w and text to a style."""

    def add_style(self, inputs, w_dim, f_dim, structure):
        self.structure = structure
        middle = (f_dim + 512) // 2

        def text_layer(index):
            sizes = (f_dim, middle) if index == 0 else (middle, 512)
            return FullyConnectedLayer(*sizes, "lrelu", lr_multiplier=0.01)

        if structure == 2:
            self.pre_0, self.pre_1 = text_layer(0), text_layer(1)
            self.affine_0 = FullyConnectedLayer(w_dim + 512, inputs, bias_init=1)
        else:
            self.affine = FullyConnectedLayer(w_dim, inputs, bias_init=1)
            for kind in ("scale", "bias"):
                for index in range(2):
                    setattr(self, f"{kind}_layer_{index}", text_layer(index))
                setattr(self, f"{kind}_layer_2", FullyConnectedLayer(512, inputs))

    def style(self, w, text):
        if self.structure == 2:
            return self.affine_0(torch.cat([self.pre_1(self.pre_0(text)), w], dim=1))
        scale = self.scale_layer_2(self.scale_layer_1(self.scale_layer_0(text)))
        bias = self.bias_layer_2(self.bias_layer_1(self.bias_layer_0(text)))
        return bias + self.affine(w) * scale


class SynthesisLayer(Styled):
    def __init__(self, inputs, outputs, w_dim, f_dim, resolution, structure, conv_clamp, up=1):
        super().__init__()
        self.up, self.conv_clamp, self.use_noise = up, conv_clamp, True
        self.register_buffer("resample_filter", FILTER.clone())
        self.act_gain = np.sqrt(2)
        self.add_style(inputs, w_dim, f_dim, structure)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.noise_strength = nn.Parameter(torch.randn([]) * 0.3)
        self.bias = nn.Parameter(torch.randn(outputs) * 0.3)

    def forward(self, x, w, text, noise):
        style, images = self.style(w, text), []
        for sample in range(len(x)):
            weight = self.weight * style[sample].reshape(1, -1, 1, 1)
            weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
            one = x[sample : sample + 1]
            if self.up == 2:  # zeros between the pixels, filter, then a true convolution: its kernel is turned round
                one, weight = resampled(one, up=2, before=3, after=2), weight.flip(2, 3)
                images.append(F.conv2d(one, weight))
            else:
                images.append(F.conv2d(one, weight, padding=1))
        x = torch.cat(images) + self.noise_strength * (self.noise_const if noise is None else noise)
        return activated(x, self.bias, clamp=self.conv_clamp)


class ToRGBLayer(Styled):
    def __init__(self, inputs, w_dim, f_dim, structure, conv_clamp):
        super().__init__()
        self.conv_clamp = conv_clamp
        self.add_style(inputs, w_dim, f_dim, structure)
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.randn(3) * 0.3)
        self.weight_gain = 1 / np.sqrt(inputs)

    def forward(self, x, w, text):
        style = self.style(w, text) * float(self.weight_gain)
        x = torch.einsum("nihw,oi,ni->nohw", x, self.weight[:, :, 0, 0], style)
        return activated(x, self.bias, clamp=self.conv_clamp, linear=True)


class SynthesisBlock(Persistent):
    def __init__(self, inputs, outputs, w_dim, f_dim, resolution, structure, conv_clamp):
        super().__init__()
        self.in_channels, self.resolution, self.img_channels, self.architecture = inputs, resolution, 3, "skip"
        self.register_buffer("resample_filter", FILTER.clone())
        rest = {"w_dim": w_dim, "f_dim": f_dim, "structure": structure, "conv_clamp": conv_clamp}
        if inputs == 0:
            self.const = nn.Parameter(torch.randn(outputs, 4, 4))
        else:
            self.conv0 = SynthesisLayer(inputs, outputs, resolution=resolution, up=2, **rest)
        self.conv1 = SynthesisLayer(outputs, outputs, resolution=resolution, **rest)
        self.torgb = ToRGBLayer(outputs, **rest)


class SynthesisNetwork(Persistent):
    def __init__(self, w_dim, img_resolution, channel_base, channel_max, num_fp16_res, conv_clamp, change, f_dim):
        super().__init__()
        self.sizes = [4]
        while self.sizes[-1] < img_resolution:
            self.sizes.append(self.sizes[-1] * 2)
        for size in self.sizes:
            inputs = 0 if size == 4 else min(channel_base // (size // 2), channel_max)
            structure = 2 if size <= change else 1
            outputs = min(channel_base // size, channel_max)
            setattr(self, f"b{size}", SynthesisBlock(inputs, outputs, w_dim, f_dim, size, structure, conv_clamp))

    def forward(self, ws, text, noises):
        """`ws`: [N, L, W], a style for each layer; an RGB layer has the same one as the next block's first layer."""
        styles, x = ws.unbind(dim=1), self.b4.const.expand(len(ws), -1, -1, -1)
        x = self.b4.conv1(x, styles[0], text, next(noises))
        image = self.b4.torgb(x, styles[1], text)
        for number, size in enumerate(self.sizes[1:]):
            block, (first, second, rgb) = getattr(self, f"b{size}"), styles[2 * number + 1 : 2 * number + 4]
            x = block.conv0(x, first, text, next(noises))
            x = block.conv1(x, second, text, next(noises))
            image = resampled(image, up=2, before=2, after=1) + block.torgb(x, rgb, text)
        return image


class Generator(Persistent):
    def __init__(self, z_dim, w_dim, c_dim, img_resolution, img_channels, mapping_kwargs, synthesis_kwargs):
        super().__init__()
        self.z_dim, self.w_dim, self.c_dim = z_dim, w_dim, c_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.mapping = MappingNetwork(z_dim, w_dim, **mapping_kwargs)
        self.synthesis = SynthesisNetwork(w_dim, img_resolution, **synthesis_kwargs)
        self.mani = None

    def forward(self, z, text, noises, psi=1.0):
        """`noises`: a map for each layer, or None where it takes its constant one."""
        layers = 2 * len(self.synthesis.sizes)
        return self.synthesis(self.mapping(z, psi)[:, None].expand(-1, layers, -1), text, iter(noises))


class DiscriminatorBlock(Persistent):
    def __init__(self, inputs, middle, outputs, resolution, conv_clamp, trainable):
        super().__init__()
        self.in_channels, self.resolution, self.img_channels, self.architecture = inputs, resolution, 3, "resnet"
        self.register_buffer("resample_filter", FILTER.clone())
        rest = {"conv_clamp": conv_clamp, "trainable": trainable}
        if inputs == 0:
            self.fromrgb = Conv2dLayer(3, middle, 1, **rest)
        self.conv0 = Conv2dLayer(middle, middle, 3, **rest)
        self.conv1 = Conv2dLayer(middle, outputs, 3, down=2, **rest)
        self.skip = Conv2dLayer(middle, outputs, 1, bias=False, down=2, linear=True, trainable=trainable)

    def forward(self, x):
        x = self.fromrgb(x) if self.in_channels == 0 else x
        return self.skip(x, gain=0.5**0.5) + self.conv1(self.conv0(x), gain=0.5**0.5)


class MinibatchStdLayer(Persistent):
    def __init__(self, group_size):
        super().__init__()
        self.group_size, self.num_channels = group_size, 1

    def forward(self, x):
        """Sample i belongs to group i mod (N / G)."""
        groups = len(x) // min(self.group_size, len(x))
        deviation = torch.zeros(len(x), 1, *x.shape[2:])
        for group in range(groups):
            members = x[group::groups]
            deviation[group::groups] = (members.var(dim=0, unbiased=False) + 1e-8).sqrt().mean()
        return torch.cat([x, deviation], dim=1)


class DiscriminatorEpilogue(Persistent):
    def __init__(self, channels, conv_clamp, mbstd_group_size, f_dim):
        super().__init__()
        self.cmap_dim, self.img_channels, self.architecture, self.use_fts = 0, 3, "resnet", True
        self.mbstd = MinibatchStdLayer(mbstd_group_size)
        self.conv = Conv2dLayer(channels + 1, channels, 3, conv_clamp=conv_clamp)
        self.fc = FullyConnectedLayer(channels * 16, channels, "lrelu")
        self.fts = FullyConnectedLayer(channels, f_dim)
        self.out = FullyConnectedLayer(channels, 1)

    def forward(self, x, text, use_norm):
        h = self.fc(self.conv(self.mbstd(x)).reshape(len(x), -1))
        feature = self.fts(h)
        if use_norm:
            feature = feature / feature.norm(dim=1, keepdim=True)
        return self.out(h) + (feature * text).sum(), feature


class Discriminator(Persistent):
    def __init__(self, c_dim, img_resolution, img_channels, use_norm, use_fts, channel_base, channel_max,
                 num_fp16_res, conv_clamp, block_kwargs, mapping_kwargs, epilogue_kwargs):  # fmt: skip
        super().__init__()
        self.c_dim, self.img_resolution, self.img_channels = c_dim, img_resolution, img_channels
        self.use_norm, self.use_fts = use_norm, use_fts
        self.sizes = [img_resolution]
        while self.sizes[-1] > 8:
            self.sizes.append(self.sizes[-1] // 2)
        for size in self.sizes:
            middle, outputs = (min(channel_base // at, channel_max) for at in (size, size // 2))
            inputs = 0 if size == img_resolution else middle
            trainable = size > 8 or not block_kwargs.get("freeze_layers")
            setattr(self, f"b{size}", DiscriminatorBlock(inputs, middle, outputs, size, conv_clamp, trainable))
        self.b4 = DiscriminatorEpilogue(outputs, conv_clamp, **epilogue_kwargs)

    def forward(self, x, text):
        for size in self.sizes:
            x = getattr(self, f"b{size}")(x)
        return self.b4(x, text, self.use_norm)
