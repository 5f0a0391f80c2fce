"""LAFITE's discriminator: StyleGAN2-ADA's residual discriminator with a head for CLIP's space.

Shapes: N batch, R resolution, C width of CLIP's embedding, I and O channels in and out, H = W resolution of a layer.
"""

import math
from collections.abc import Mapping

from torch import Tensor, nn

from clipgan.base.distributed import total_with_gradient
from clipgan.config import LafiteConfig, ModelConfig
from clipgan.models.networks.convolution import conv2d
from clipgan.models.networks.discriminator import Judgement
from clipgan.models.networks.lafite.resample import blur
from clipgan.models.networks.layers import (
    Conv,
    Equalised,
    Linear,
    activate,
    channels_at,
    minibatch_stddev,
    scaled_together,
)
from clipgan.models.networks.scales import Scales


class DownConv(Conv):
    """The filter, then a 3 x 3 convolution of stride 2, bias and activation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, activate=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, I, H, H] to [N, O, H/2, H/2]."""
        return activate(conv2d(blur(x, padding=2), *self.scaled_parameters(), stride=2, padding=0))


class LafiteResidualBlock(nn.Module):
    """Two clamped 3 x 3 convolutions with a 1 x 1 convolution as the skip path; it halves the resolution."""

    def __init__(self, inputs: int, outputs: int, clamp: float) -> None:
        super().__init__()
        self.conv = Conv(inputs, inputs, 3, activate=True)
        self.down = DownConv(inputs, outputs)
        self.skip = Conv(inputs, outputs, 1, bias=False)
        self.clamp = clamp

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, I, H, H] to [N, O, H/2, H/2]."""
        y = self.down(self.conv(x).clamp(-self.clamp, self.clamp)).clamp(-self.clamp, self.clamp)
        return self.skip(blur(x, padding=1, stride=2)).add_(y).mul_(math.sqrt(0.5))


class LafiteDiscriminator(nn.Module):
    """D(x, c) maps an image and a text condition to a logit, and the image into CLIP's space."""

    def __init__(self, model: ModelConfig, lafite: LafiteConfig, clip_dim: int, resolution: int) -> None:
        super().__init__()

        def channels(size: int) -> int:
            return channels_at(model, size)

        sizes = [2**exponent for exponent in range(resolution.bit_length() - 1, 2, -1)]
        self.clamp, self.group, self.unit_features = lafite.conv_clamp, model.mbstd_group, lafite.unit_features
        self.everywhere = lafite.text_logit == "batch"
        self.from_rgb = Conv(3, channels(resolution), 1, activate=True)
        self.blocks = nn.ModuleDict(
            {str(size): LafiteResidualBlock(channels(size), channels(size // 2), self.clamp) for size in sizes}
        )
        width = channels(4)
        self.conv = Conv(width + 1, width, 3, activate=True)
        self.features = Linear(width * 4 * 4, width, activate=True)
        self.logit = Linear(width, 1)
        self.semantic = Linear(width, clip_dim)
        self.equalised = [layer for layer in self.modules() if isinstance(layer, Equalised)]

    def begin_step(self) -> None:
        """See `Discriminator.begin_step`."""

    def forward(self, images: Scales, condition: Tensor, mismatched: Tensor | None = None) -> Judgement:
        """Judge images against their text.

        Args:
            images: one scale, in [-1, 1].
            condition: [N, C], unit length.
            mismatched: see `Discriminator.forward`.

        Returns:
            The logit D(x, c) = D(x) + sum over the batch of <f_D(x), c>, and f_D(x). As in the published code, the
            text's part is one number for all images of the batch (of the micro-batch with accumulate > 1; of this
            process with `text_logit=process`).
        """
        with scaled_together(self.equalised):
            return self._judge(images, condition, mismatched)

    def _judge(self, images: Scales, condition: Tensor, mismatched: Tensor | None) -> Judgement:
        x = self.from_rgb(images.image).clamp(-self.clamp, self.clamp)
        for block in self.blocks.values():
            x = block(x)
        x = self.conv(minibatch_stddev(x, self.group)).clamp(-self.clamp, self.clamp)
        h = self.features(x.flatten(1))
        semantic = self.semantic(h).float()
        if self.unit_features:
            semantic = semantic / semantic.norm(dim=1, keepdim=True)
        logit = self.logit(h).float().squeeze(1)

        def logits(condition: Tensor) -> Tensor:
            text = (semantic * condition).sum()
            return logit + (total_with_gradient(text) if self.everywhere else text)

        return Judgement(logits(condition), semantic, None if mismatched is None else logits(mismatched))

    def joinable(self, rows: int) -> bool:
        """See `Discriminator.joinable`; here every logit depends on the whole batch."""
        return False

    def layers_from_image(self) -> list[nn.Module]:
        """See `Discriminator.layers_from_image`."""
        return [self.from_rgb, *(layer for block in self.blocks.values() for layer in block.children())]

    @staticmethod
    def renumbered(weights: Mapping[str, Tensor], source: int, target: int) -> dict[str, Tensor]:
        """See `Discriminator.renumbered`; blocks are named by their resolution, so only `from_rgb` is left out."""
        return {name: value for name, value in weights.items() if source == target or not name.startswith("from_rgb.")}
