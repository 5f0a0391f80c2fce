"""Text-conditional StyleGAN2 generator: the text joins every style, as in LAFITE (arXiv:2111.13792).

Shapes: N batch, Z latent width, W style width, C width of CLIP's embedding, T width of the text code, L layers.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clipgan.base.randomness import Draw
from clipgan.config import ModelConfig
from clipgan.models.networks.derivatives import written_out
from clipgan.models.networks.layers import (
    Linear,
    StyledLayer,
    ToRGB,
    channels_at,
    colours_derived_together,
    derived_together,
    normalise_second_moment,
    scaled_together,
)
from clipgan.models.networks.resample import upsample
from clipgan.models.networks.scales import Scales


class Mapping(nn.Module):
    """The mapping network z -> w, with the moving average of w for truncation."""

    w_average: Tensor

    def __init__(self, z_dim: int, w_dim: int, layers: int, decay: float = 0.998) -> None:
        super().__init__()
        widths = [z_dim] + [w_dim] * layers
        self.layers = nn.ModuleList(
            Linear(inputs, outputs, lr_multiplier=0.01, activate=True) for inputs, outputs in itertools.pairwise(widths)
        )
        self.decay = decay
        self.register_buffer("w_average", torch.zeros(w_dim))

    def forward(self, z: Tensor) -> Tensor:
        """Map z [N, Z] to w [N, W]."""
        w = normalise_second_moment(z)
        with scaled_together(self.layers):
            for layer in self.layers:
                w = layer(w)
        return w

    def truncate(self, w: Tensor, truncation: float) -> Tensor:
        """Move w [N, W] towards its average: `truncation` (psi) 1 leaves w unchanged, 0 returns the average."""
        return w if truncation == 1 else self.w_average.lerp(w, truncation)

    def track(self, mean: Tensor) -> None:
        """Update the moving average of w with the mean of a batch, [W]; the first mean takes the place of zeros."""
        share = torch.where(self.w_average.any(), 1 - self.decay, 1.0)  # on the device: a recorded step repeats it
        self.w_average.lerp_(mean, share)


def mapping_depth(model: ModelConfig) -> int:
    """Return the number of layers from z to w."""
    return max(1, round(model.mapping_layers * model.mapping_multiplier))


class TextCode(nn.Module):
    """A small network from the text condition to the text code; all layers share it (LAFITE has one per layer)."""

    def __init__(self, clip_dim: int, text_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Linear(clip_dim, text_dim, activate=True),
            Linear(text_dim, text_dim, activate=True),
        )

    def forward(self, condition: Tensor) -> Tensor:
        """Map conditions [N, C] of unit length to text codes [N, T]."""
        with scaled_together(self.layers):
            return self.layers(normalise_second_moment(condition))


class Synthesis(nn.Module):
    """Maps styles to an image: a 4 x 4 start, two styled layers per resolution, RGB summed over the resolutions.

    The start is a learned constant; with `spatial_seed`, the first style adds a linear map of itself, so the latent and
    the text place things at once instead of through the layers' gains.

    The partial sum at each resolution is an image itself; a multi-scale generator returns all of them.
    """

    def __init__(self, model: ModelConfig, style: int, resolution: int) -> None:
        super().__init__()
        self.multi_scale = model.multi_scale
        channels = channels_at(model, 4)
        self.constant = nn.Parameter(torch.randn(1, channels, 4, 4))
        self.seed = Linear(style, channels * 16) if model.spatial_seed else None
        self.first = StyledLayer(channels, channels, style)
        self.styled = [self.first]  # all styled layers, in their order
        self.first_rgb = ToRGB(channels, style)
        self.ups, self.convs, self.rgbs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        size = 8
        while size <= resolution:
            inputs, channels = channels, channels_at(model, size)
            pair = StyledLayer(inputs, channels, style, up=True), StyledLayer(channels, channels, style)
            self.ups.append(pair[0])
            self.convs.append(pair[1])
            self.styled += pair
            self.rgbs.append(ToRGB(channels, style))
            size *= 2

    def forward(self, styles: Tensor, noise: Sequence[Tensor]) -> Scales:
        """Map styles [N, L, S] and each layer's noise to images, approximately in [-1, 1]."""
        if written_out():
            styles = styles.to(self.constant.dtype)  # once for all layers
        own = styles.unbind(dim=1)  # not slices: the gradient of each slice would be a full tensor of zeros
        x = self.constant.expand(styles.shape[0], -1, -1, -1)
        if self.seed is not None:
            x = x + self.seed(own[0]).view_as(x)
        x = x.contiguous(memory_format=torch.channels_last)
        derived = derived_together(self.styled, own[: len(self.styled)], noise)
        first, *colours = colours_derived_together([self.first_rgb, *self.rgbs], own[1::2])
        x = self.first(x, own[0], derived[0])
        rgb = self.first_rgb(x, own[1], first)
        smaller: list[Tensor] = []
        for index, (up, conv, to_rgb) in enumerate(zip(self.ups, self.convs, self.rgbs, strict=True)):
            place = 2 * index + 1
            x = up(x, own[place], derived[place])
            x = conv(x, own[place + 1], derived[place + 1])
            smaller.append(rgb)
            rgb = upsample(rgb) + to_rgb(x, own[place + 2], colours[index])
        rgb = rgb.contiguous(memory_format=torch.channels_last)
        return Scales(rgb, tuple(reversed(smaller)) if self.multi_scale else ())


class TextToImage(nn.Module):
    """G(z, c) maps a latent and a text condition to an image; subclasses differ in how the text enters the styles."""

    synthesis: nn.Module  # styles, text code and noise -> image

    def __init__(self, mapping: Mapping, z_dim: int, resolution: int) -> None:
        super().__init__()
        self.mapping, self.z_dim = mapping, z_dim
        self.n_styles = 2 * resolution.bit_length() - 4  # two for each resolution from 4 on; RGB uses the next layer's
        sizes = [2**exponent for exponent in range(2, resolution.bit_length())]
        self.noise_sizes = [size for size in sizes for _ in range(1 if size == 4 else 2)]  # of each layer's map, pixels

    def broadcast(self, w: Tensor) -> Tensor:
        """Repeat w [N, W] for every layer: [N, L, W]."""
        return w[:, None].expand(-1, self.n_styles, -1)

    def mix(self, z: Tensor, second: Tensor, crossover: Tensor | int) -> Tensor:
        """Mix the styles of two latents [N, Z] into [N, L, W]: layers from `crossover` on use the second latent's w."""
        one, other = self.mapping(torch.cat([z, second])).chunk(2)
        first = torch.arange(self.n_styles, device=z.device)[:, None] < crossover  # [L, 1]
        return torch.where(first, one[:, None], other[:, None])

    def draw_noise(self, count: int, draw: Draw) -> list[Tensor]:
        """Draw the noise of all layers for `count` images in one draw: [count, 1, size, size] for each layer."""
        pixels = [size * size for size in self.noise_sizes]
        maps = draw((count, sum(pixels))).split(pixels, dim=1)
        return [noise.unflatten(1, (1, size, size)) for noise, size in zip(maps, self.noise_sizes, strict=True)]

    def scales(self, ws: Tensor, condition: Tensor, noise: Sequence[Tensor]) -> Scales:
        """Map ws [N, L, W], conditions [N, C] and noise to D's input; its Jacobian by `ws` gives the path lengths."""
        raise NotImplementedError

    def synthesise(self, ws: Tensor, condition: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """Map ws [N, L, W], conditions [N, C] and noise to images at the full resolution: [N, 3, R, R]."""
        return self.scales(ws, condition, noise).image

    def forward(self, z: Tensor, condition: Tensor, noise: Sequence[Tensor], truncation: float = 1.0) -> Tensor:
        """Generate images.

        Args:
            z: [N, Z], standard normal.
            condition: [N, C], unit length.
            noise: one map for each layer, see `draw_noise`.
            truncation: psi; 1 leaves w unchanged, 0 replaces w by its average.

        Returns:
            Images [N, 3, R, R], approximately in [-1, 1], not clamped.
        """
        w = self.mapping.truncate(self.mapping(z), truncation)
        return self.synthesise(self.broadcast(w), condition, noise)


class Generator(TextToImage):
    """This project's own generator: one text code is appended to every style."""

    def __init__(self, model: ModelConfig, clip_dim: int, resolution: int) -> None:
        super().__init__(Mapping(model.z_dim, model.w_dim, mapping_depth(model)), model.z_dim, resolution)
        self.text_code = TextCode(clip_dim, model.text_dim)
        self.synthesis = Synthesis(model, model.w_dim + model.text_dim, resolution)

    def scales(self, ws: Tensor, condition: Tensor, noise: Sequence[Tensor]) -> Scales:
        """See `TextToImage`."""
        text = self.text_code(condition)[:, None].expand(-1, ws.shape[1], -1)
        return self.synthesis(torch.cat([ws, text], dim=2), noise)
