"""Text-conditional StyleGAN2 generator: the text joins every style, as in LAFITE (arXiv:2111.13792).

Shapes: N batch, Z latent width, W style width, C width of CLIP's embedding, T width of the text code, L layers.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clipgan.base.randomness import Draw
from clipgan.config import ModelConfig
from clipgan.models.networks.layers import Linear, StyledLayer, ToRGB, channels_at, normalise_second_moment, upsample
from clipgan.models.networks.scales import Scales


class Mapping(nn.Module):
    """z -> w, with the moving average of w that truncation pulls towards."""

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
        """[N, Z] -> [N, W]."""
        w = normalise_second_moment(z)
        for layer in self.layers:
            w = layer(w)
        return w

    def truncate(self, w: Tensor, truncation: float) -> Tensor:
        """Pull w, [N, W], towards its average; psi = 1 leaves it as it is, 0 puts it there."""
        return w if truncation == 1 else self.w_average.lerp(w, truncation)

    def track(self, mean: Tensor) -> None:
        """Move the average of w towards the mean of a batch, [W]."""
        self.w_average.lerp_(mean, 1 - self.decay)


def mapping_depth(model: ModelConfig) -> int:
    """Layers from z to w."""
    return max(1, round(model.mapping_layers * model.mapping_multiplier))


class TextCode(nn.Module):
    """Text condition -> text code; one small network shared by all layers (LAFITE has one for each)."""

    def __init__(self, clip_dim: int, text_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Linear(clip_dim, text_dim, activate=True),
            Linear(text_dim, text_dim, activate=True),
        )

    def forward(self, condition: Tensor) -> Tensor:
        """[N, C] unit length -> [N, T]."""
        return self.layers(normalise_second_moment(condition))


class Synthesis(nn.Module):
    """Styles -> image: a learned constant, two styled layers a resolution, RGB summed over the resolutions (skips).

    Each of those sums is an image of its resolution: a multi-scale generator gives them all.
    """

    def __init__(self, model: ModelConfig, style: int, resolution: int) -> None:
        super().__init__()
        self.multi_scale = model.multi_scale
        channels = channels_at(model, 4)
        self.constant = nn.Parameter(torch.randn(1, channels, 4, 4))
        self.first = StyledLayer(channels, channels, style)
        self.first_rgb = ToRGB(channels, style)
        self.ups, self.convs, self.rgbs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        size = 8
        while size <= resolution:
            inputs, channels = channels, channels_at(model, size)
            self.ups.append(StyledLayer(inputs, channels, style, up=True))
            self.convs.append(StyledLayer(channels, channels, style))
            self.rgbs.append(ToRGB(channels, style))
            size *= 2

    def forward(self, styles: Tensor, noise: Sequence[Tensor]) -> Scales:
        """[N, L, S] and each layer's noise -> images about [-1, 1]."""
        x = self.constant.expand(styles.shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)
        own = styles.unbind(dim=1)  # at once: the gradient of each slice would be a tensor of zeros around it
        x = self.first(x, own[0], noise[0])
        rgb = self.first_rgb(x, own[1])
        smaller: list[Tensor] = []
        for index, (up, conv, to_rgb) in enumerate(zip(self.ups, self.convs, self.rgbs, strict=True)):
            x = up(x, own[2 * index + 1], noise[2 * index + 1])
            x = conv(x, own[2 * index + 2], noise[2 * index + 2])
            smaller.append(rgb)
            rgb = upsample(rgb) + to_rgb(x, own[2 * index + 3])
        return Scales(rgb, tuple(reversed(smaller)) if self.multi_scale else ())


class TextToImage(nn.Module):
    """G(z, c): latent and text condition to an image. Its architectures differ in how text and styles become one."""

    synthesis: nn.Module  # styles, what an architecture makes of the text, and noise -> image

    def __init__(self, mapping: Mapping, z_dim: int, resolution: int) -> None:
        super().__init__()
        self.mapping, self.z_dim = mapping, z_dim
        self.n_styles = 2 * resolution.bit_length() - 4  # two a resolution from 4 on; RGB shares the next layer's
        sizes = [2**exponent for exponent in range(2, resolution.bit_length())]
        self.noise_sizes = [size for size in sizes for _ in range(1 if size == 4 else 2)]  # one map a layer, pixels

    def broadcast(self, w: Tensor) -> Tensor:
        """[N, W] -> [N, L, W], the same w in every layer."""
        return w[:, None].expand(-1, self.n_styles, -1)

    def mix(self, z: Tensor, second: Tensor, crossover: int) -> Tensor:
        """Style mixing: two latents [N, Z] -> [N, L, W]; the layers from `crossover` on take the second's w."""
        ws = self.broadcast(self.mapping(z))
        if crossover >= self.n_styles:
            return ws
        return torch.cat([ws[:, :crossover], self.broadcast(self.mapping(second))[:, crossover:]], dim=1)

    def draw_noise(self, count: int, draw: Draw) -> list[Tensor]:
        """The noise of each layer for `count` images: [count, 1, size, size] each, in one draw for all layers."""
        pixels = [size * size for size in self.noise_sizes]
        maps = draw((count, sum(pixels))).split(pixels, dim=1)
        return [noise.unflatten(1, (1, size, size)) for noise, size in zip(maps, self.noise_sizes, strict=True)]

    def scales(self, ws: Tensor, condition: Tensor, noise: Sequence[Tensor]) -> Scales:
        """[N, L, W], [N, C], noise -> what D sees; the gradient with respect to `ws` is the path-length Jacobian's."""
        raise NotImplementedError

    def synthesise(self, ws: Tensor, condition: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """[N, L, W], [N, C], noise -> the images alone, [N, 3, R, R]."""
        return self.scales(ws, condition, noise).image

    def forward(self, z: Tensor, condition: Tensor, noise: Sequence[Tensor], truncation: float = 1.0) -> Tensor:
        """Generate images.

        Args:
            z: [N, Z], standard normal.
            condition: [N, C], unit length.
            noise: of each layer, see `draw_noise`.
            truncation: psi; 1 leaves w as it is, 0 puts it at its average.

        Returns:
            [N, 3, R, R], about [-1, 1], not clamped.
        """
        w = self.mapping.truncate(self.mapping(z), truncation)
        return self.synthesise(self.broadcast(w), condition, noise)


class Generator(TextToImage):
    """This project's own: one text code joins every style."""

    def __init__(self, model: ModelConfig, clip_dim: int, resolution: int) -> None:
        super().__init__(Mapping(model.z_dim, model.w_dim, mapping_depth(model)), model.z_dim, resolution)
        self.text_code = TextCode(clip_dim, model.text_dim)
        self.synthesis = Synthesis(model, model.w_dim + model.text_dim, resolution)

    def scales(self, ws: Tensor, condition: Tensor, noise: Sequence[Tensor]) -> Scales:
        """See `TextToImage`."""
        text = self.text_code(condition)[:, None].expand(-1, ws.shape[1], -1)
        return self.synthesis(torch.cat([ws, text], dim=2), noise)
