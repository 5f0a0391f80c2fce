"""LAFITE's discriminator: StyleGAN2-ADA's residual discriminator with a head for CLIP's space.

Shapes: N batch, R resolution, C width of CLIP's embedding, I and O channels in and out, H = W resolution of a layer.
"""

import math
from collections.abc import Mapping

from torch import Tensor, nn

from clipgan.base.distributed import total_with_gradient
from clipgan.config import LafiteConfig, ModelConfig
from clipgan.models.networks.activation import activate
from clipgan.models.networks.convolution import conv2d
from clipgan.models.networks.discriminator import DiscriminatorOutput
from clipgan.models.networks.lafite.resample import blur
from clipgan.models.networks.layers import (
    SQRT2,
    Conv,
    Equalised,
    Linear,
    channels_at,
    minibatch_stddev,
    scaled_together,
)
from clipgan.models.networks.scales import Scales


class BoundedConv(Conv):
    """Convolution, bias and bounded activation; its output is multiplied by `scale`, in the weights and the bound."""

    def __init__(self, inputs: int, outputs: int, kernel: int, bound: float, scale: float = 1.0) -> None:
        super().__init__(inputs, outputs, kernel, scale=SQRT2 * scale)
        self.bound = bound * scale

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, I, H, H] to [N, O, H, H]."""
        return activate(super().forward(x), self.bound)


class DownConv(BoundedConv):
    """The filter, then a 3 x 3 convolution of stride 2, bias and bounded activation."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, I, H, H] to [N, O, H/2, H/2]."""
        return activate(conv2d(blur(x, padding=2), *self.scaled_parameters(), stride=2, padding=0), self.bound)


class LafiteResidualBlock(nn.Module):
    """Two bounded 3 x 3 convolutions with a 1 x 1 convolution as the skip path; it halves the resolution."""

    def __init__(self, inputs: int, outputs: int, bound: float) -> None:
        super().__init__()
        half = math.sqrt(0.5)  # keeps the variance of the sum
        self.conv = BoundedConv(inputs, inputs, 3, bound)
        self.down = DownConv(inputs, outputs, 3, bound, half)
        self.skip = Conv(inputs, outputs, 1, bias=False, scale=half)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, I, H, H] to [N, O, H/2, H/2]."""
        return self.skip(blur(x, padding=1, stride=2)).add_(self.down(self.conv(x)))


class LafiteDiscriminator(nn.Module):
    """D(x, c) maps an image and a text condition to a logit, and the image into CLIP's space."""

    def __init__(self, model: ModelConfig, lafite: LafiteConfig, clip_dim: int, resolution: int) -> None:
        super().__init__()

        def channels(size: int) -> int:
            return channels_at(model, size)

        sizes = [2**exponent for exponent in range(resolution.bit_length() - 1, 2, -1)]
        bound = lafite.conv_clamp
        self.group, self.unit_features = model.mbstd_group, lafite.unit_features
        self.everywhere = lafite.text_logit == "batch"
        self.from_rgb = BoundedConv(3, channels(resolution), 1, bound)
        self.blocks = nn.ModuleDict(
            {str(size): LafiteResidualBlock(channels(size), channels(size // 2), bound) for size in sizes}
        )
        width = channels(4)
        self.conv = BoundedConv(width + 1, width, 3, bound)
        self.features = Linear(width * 4 * 4, width, activate=True)
        self.logit = Linear(width, 1)
        self.semantic = Linear(width, clip_dim)
        self.equalised = [layer for layer in self.modules() if isinstance(layer, Equalised)]

    def begin_step(self) -> None:
        """See `Discriminator.begin_step`."""

    def forward(self, images: Scales, condition: Tensor, mismatched: Tensor | None = None) -> DiscriminatorOutput:
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

    def _judge(self, images: Scales, condition: Tensor, mismatched: Tensor | None) -> DiscriminatorOutput:
        x = self.from_rgb(images.image)
        for block in self.blocks.values():
            x = block(x)
        x = self.conv(minibatch_stddev(x, self.group))
        h = self.features(x.flatten(1))
        semantic = self.semantic(h).float()
        if self.unit_features:
            semantic = semantic / semantic.norm(dim=1, keepdim=True)
        logit = self.logit(h).float().squeeze(1)

        def logits(condition: Tensor) -> Tensor:
            text = (semantic * condition).sum()
            return logit + (total_with_gradient(text) if self.everywhere else text)

        return DiscriminatorOutput(logits(condition), semantic, None if mismatched is None else logits(mismatched))

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
