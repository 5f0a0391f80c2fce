"""LAFITE's generator: StyleGAN2 with a separate text network in every layer.

Shapes: N batch, Z latent width, W style width, C width of CLIP's embedding, T width of the text code, L styles,
I and O channels in and out, H = W resolution of a layer, R of the image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clipgan.config import LafiteConfig, ModelConfig
from clipgan.models.networks.activation import activate
from clipgan.models.networks.convolution import conv2d
from clipgan.models.networks.derivatives import pixels
from clipgan.models.networks.generator import Mapping, TextToImage, mapping_depth
from clipgan.models.networks.lafite.resample import blur, upsample
from clipgan.models.networks.layers import SQRT2, Linear, channels_at
from clipgan.models.networks.scales import Scales

W_DECAY = 0.995  # decay of the moving average of w
TEXT_LR = 0.01  # learning-rate multiplier of the text networks


def text_network(clip_dim: int, text_dim: int) -> list[nn.Module]:
    """Make a style's two layers for the text: C -> (C + T) / 2 -> T."""
    middle = (clip_dim + text_dim) // 2
    return [
        Linear(clip_dim, middle, lr_multiplier=TEXT_LR, activate=True),
        Linear(middle, text_dim, lr_multiplier=TEXT_LR, activate=True),
    ]


class JoinedStyle(nn.Module):
    """Computes a layer's style from text and w: style = A [text code, w]."""

    def __init__(self, model: ModelConfig, clip_dim: int, outputs: int) -> None:
        super().__init__()
        self.text = nn.Sequential(*text_network(clip_dim, model.text_dim))
        self.affine = Linear(model.text_dim + model.w_dim, outputs, bias=1.0)

    def forward(self, w: Tensor, text: Tensor) -> Tensor:
        """Map w [N, W] and text [N, C] to styles [N, O]."""
        return self.affine(torch.cat([self.text(text), w], dim=1))


class ScaledStyle(nn.Module):
    """Computes a layer's style from text and w: style = shift(text) + scale(text) A w."""

    def __init__(self, model: ModelConfig, clip_dim: int, outputs: int) -> None:
        super().__init__()
        self.affine = Linear(model.w_dim, outputs, bias=1.0)
        self.scale, self.shift = (
            nn.Sequential(*text_network(clip_dim, model.text_dim), Linear(model.text_dim, outputs)) for _ in range(2)
        )

    def forward(self, w: Tensor, text: Tensor) -> Tensor:
        """Map w [N, W] and text [N, C] to styles [N, O]."""
        return self.shift(text) + self.affine(w) * self.scale(text)


class LafiteLayer(nn.Module):
    """Modulated 3 x 3 convolution, noise, bias, bounded activation; `up` doubles the resolution in the convolution."""

    noise: Tensor

    def __init__(self, inputs: int, outputs: int, size: int, style: nn.Module, bound: float, up: bool = False) -> None:
        super().__init__()
        self.style = style
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise", torch.randn(size, size))  # a constant map, in place of random noise
        self.gain = (inputs * 9) ** -0.5  # keeps half precision in range; `_convolve` takes it back
        self.bound, self.up = bound, up

    def forward(self, x: Tensor, w: Tensor, text: Tensor, noise: Tensor) -> Tensor:
        """Map x [N, I, H, H], w [N, W], text [N, C], noise [N, 1, H', H'] to [N, O, H', H'], H' = H (2H with `up`)."""
        scale = self.style(w, text)
        y = self._convolve(x, scale)
        factor = demodulation(scale, self.weight) * (SQRT2 * (4 if self.up else 1) / self.gain)
        bias, shift = (self.bias * SQRT2)[:, None, None], noise * (self.noise_strength * SQRT2)
        # at 256 pixels, each pass over a map costs as much as a small convolution
        y = torch.addcmul(bias.to(y.dtype), y, factor[:, :, None, None].to(y.dtype)).add_(shift.to(y.dtype))
        return activate(y, self.bound)

    def _convolve(self, x: Tensor, scale: Tensor) -> Tensor:
        """Scale by the style [N, I], then convolve the whole batch with one ordinary convolution."""
        x, weight = x * scale[:, :, None, None], self.weight * self.gain
        if not self.up:
            return conv2d(x, weight)
        return blur(conv2d(x, weight.transpose(0, 1), stride=2, padding=0, transposed=True), padding=1)


def demodulation(scale: Tensor, weight: Tensor) -> Tensor:
    """Return the factors [N, O] that give the maps of conv(s x, w) the variance of x, from s [N, I] and w [O, I, K, K].

    They are computed in the dtype of the weight, also under autocast: sums of squares overflow in half precision.
    """
    with torch.autocast(scale.device.type, enabled=False):
        energy = weight.square().sum(dim=(2, 3))  # [O, I]
        return (scale.to(weight.dtype).square() @ energy.T + 1e-8).rsqrt()


class LafiteToRGB(nn.Module):
    """Modulated 1 x 1 convolution to RGB, without demodulation."""

    def __init__(self, inputs: int, style: nn.Module, bound: float) -> None:
        super().__init__()
        self.style = style
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.gain, self.bound = inputs**-0.5, bound

    def forward(self, x: Tensor, w: Tensor, text: Tensor) -> Tensor:
        """Map x [N, I, H, H], w [N, W], text [N, C] to float32 [N, 3, H, H]; colours are summed in full precision."""
        scale = self.style(w, text) * self.gain
        own = self.weight[:, :, 0, 0] * scale[:, None]  # [N, 3, I]: scaled weights, in place of a scaled map
        y = torch.bmm(own.to(x.dtype), pixels(x).transpose(1, 2)) + self.bias.to(x.dtype)[:, None]
        return y.unflatten(2, x.shape[2:]).float().clamp(-self.bound, self.bound)


class LafiteBlock(nn.Module):
    """The layers of one resolution."""

    def __init__(self, model: ModelConfig, lafite: LafiteConfig, clip_dim: int, size: int) -> None:
        super().__init__()

        def style(outputs: int) -> nn.Module:
            kind = JoinedStyle if size <= lafite.joined_to else ScaledStyle
            return kind(model, clip_dim, outputs)

        inputs, outputs = (channels_at(model, at) for at in (size // 2, size))
        bound = lafite.conv_clamp
        self.up = LafiteLayer(inputs, outputs, size, style(inputs), bound, up=True) if size > 4 else None
        self.conv = LafiteLayer(outputs, outputs, size, style(outputs), bound)
        self.rgb = LafiteToRGB(outputs, style(outputs), bound)

    def forward(
        self, x: Tensor, image: Tensor | None, ws: Sequence[Tensor], text: Tensor, noise: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Map features, the image so far and the block's styles to features and image at this resolution."""
        if self.up is not None:
            x = self.up(x, ws[0], text, noise[0])
        x = self.conv(x, ws[-2], text, noise[-1])
        rgb = self.rgb(x, ws[-1], text)
        return x, rgb if image is None else upsample(image) + rgb


class LafiteSynthesis(nn.Module):
    """Maps styles and text to an image: a learned constant, the blocks, RGB summed over the resolutions."""

    def __init__(self, model: ModelConfig, lafite: LafiteConfig, clip_dim: int, resolution: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(1, channels_at(model, 4), 4, 4))
        sizes = [2**exponent for exponent in range(2, resolution.bit_length())]
        self.blocks = nn.ModuleDict({str(size): LafiteBlock(model, lafite, clip_dim, size) for size in sizes})

    def forward(self, ws: Tensor, text: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """Map ws [N, L, W], text [N, C] and noise to images [N, 3, R, R]."""
        x = self.constant.expand(ws.shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)
        image = None
        for number, block in enumerate(self.blocks.values()):
            own = ws[:, max(0, 2 * number - 1) : 2 * number + 2]  # RGB shares the next block's first style
            maps = noise[max(0, 2 * number - 1) : 2 * number + 1]
            x, image = block(x, image, own.unbind(dim=1), text, maps)
        assert image is not None
        return image


class LafiteGenerator(TextToImage):
    """LAFITE's published generator; the text condition is CLIP's embedding at unit length, without rescaling."""

    def __init__(self, model: ModelConfig, lafite: LafiteConfig, clip_dim: int, resolution: int) -> None:
        super().__init__(Mapping(model.z_dim, model.w_dim, mapping_depth(model), W_DECAY), model.z_dim, resolution)
        self.synthesis = LafiteSynthesis(model, lafite, clip_dim, resolution)

    def scales(self, ws: Tensor, condition: Tensor, noise: Sequence[Tensor]) -> Scales:
        """See `TextToImage`; the result has one scale."""
        return Scales(self.synthesis(ws, condition, noise))

    def stored_noise(self) -> list[Tensor]:
        """Return the constant noise maps, the same for all images: [1, 1, size, size] for each layer."""
        return [layer.noise[None, None] for layer in self.modules() if isinstance(layer, LafiteLayer)]
