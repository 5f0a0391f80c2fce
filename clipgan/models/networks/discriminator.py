"""Residual StyleGAN2 discriminator with a text-conditional logit and a semantic head.

Shapes: N batch, R resolution, C width of CLIP's embedding, T width of the text projection.
"""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from clipgan.config import ModelConfig
from clipgan.models.networks.layers import (
    Conv,
    Equalised,
    Linear,
    channels_at,
    minibatch_stddev,
    normalise_second_moment,
    scaled_together,
)
from clipgan.models.networks.scales import Scales


class DiscriminatorOutput(NamedTuple):
    """The discriminator's output for a batch."""

    logits: Tensor  # [N], high for real images; [N, M] from a projected D, whose losses are means over M as well
    semantic: Tensor  # [N, C], f_D before normalisation to unit length
    mismatched: Tensor | None = None  # the logits of the same images with other captions, if they were asked for

    def float(self) -> "DiscriminatorOutput":
        """Convert to float32."""
        other = self.mismatched
        return DiscriminatorOutput(self.logits.float(), self.semantic.float(), None if other is None else other.float())


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with a 1 x 1 convolution as the skip path; it halves the resolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Conv(inputs, inputs, 3, activate=True)
        self.down = Conv(inputs, outputs, 3, down=True, activate=True, scale=math.sqrt(0.5))
        self.skip = Conv(inputs, outputs, 1, bias=False, down=True, scale=math.sqrt(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, I, H, H] to [N, O, H/2, H/2]."""
        return self.skip(x).add_(self.down(self.conv(x)))


class Discriminator(nn.Module):
    """D(x, c) maps an image and a text condition to a logit, and the image into CLIP's space."""

    def __init__(self, model: ModelConfig, clip_dim: int, resolution: int) -> None:
        super().__init__()

        def channels(size: int) -> int:
            return channels_at(model, size)

        self.from_rgb = Conv(3, channels(resolution), 1, activate=True)
        blocks = []
        self.combine = nn.ModuleList()  # in a multi-scale D, one after each block: [features, RGB] -> features
        size = resolution
        while size > 4:
            blocks.append(ResidualBlock(channels(size), channels(size // 2)))
            size //= 2
            if model.multi_scale:
                self.combine.append(Conv(channels(size) + 3, channels(size), 1, bias=False))
        self.blocks = nn.Sequential(*blocks)
        self.group = model.mbstd_group
        width = channels(4)
        self.conv = Conv(width + 1, width, 3, activate=True)
        self.features = Linear(width * 4 * 4, width, activate=True)
        self.logit = Linear(width, 1)
        self.image_projection = Linear(width, model.text_dim)
        self.text_projection = Linear(clip_dim, model.text_dim)
        self.semantic = Linear(width, clip_dim)
        self.equalised = [layer for layer in self.modules() if isinstance(layer, Equalised)]

    def begin_step(self) -> None:
        """Prepare for the passes of a training step: this D has nothing to prepare."""

    def forward(self, images: Scales, condition: Tensor, mismatched: Tensor | None = None) -> DiscriminatorOutput:
        """Judge images against their text.

        Args:
            images: in [-1, 1]; a multi-scale D takes all scales and joins each to the features of its resolution.
            condition: [N, C], unit length.
            mismatched: conditions of other images, [N, C], with which D sees the images as well.

        Returns:
            The logit D(x, c) = D(x) + <p(x), q(c)> / sqrt T (projection, arXiv:1802.05637), and f_D(x), which does not
            depend on the text.
        """
        with scaled_together(self.equalised):
            return self._judge(images, condition, mismatched)

    def _judge(self, images: Scales, condition: Tensor, mismatched: Tensor | None) -> DiscriminatorOutput:
        x = self.from_rgb(images.image)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if images.smaller:
                x = self.combine[index](torch.cat([x, images.smaller[index].to(x.dtype)], dim=1))
        x = self.conv(minibatch_stddev(x, self.group))
        h = self.features(x.flatten(1))
        projected, logit = self.image_projection(h), self.logit(h).squeeze(1)

        def logits(text: Tensor) -> Tensor:
            q = self.text_projection(normalise_second_moment(text))
            return logit + (projected * q).sum(dim=1) / math.sqrt(q.shape[1])

        others = None if mismatched is None else logits(mismatched)
        return DiscriminatorOutput(logits(condition), self.semantic(h), others)

    def joinable(self, rows: int) -> bool:
        """Whether one pass over two batches of `rows` images gives the results of two passes, up to rounding."""
        return rows % self.group == 0  # then no group of the minibatch standard deviation has images of both

    def layers_from_image(self) -> list[nn.Module]:
        """List the convolutions before the minibatch standard deviation, in the order of Freeze-D's freezing."""
        layers: list[nn.Module] = [self.from_rgb]
        for index, block in enumerate(self.blocks):
            layers += [*block.children(), *self.combine[index : index + 1]]
        return layers

    @staticmethod
    def renumbered(weights: Mapping[str, Tensor], source: int, target: int) -> dict[str, Tensor]:
        """Rename the weights of a D for `source` pixels to the names in a D for `target` pixels.

        Blocks are numbered from the image on, so their numbers shift. `from_rgb` is left out if the resolutions differ.
        """
        shift = target.bit_length() - source.bit_length()

        def name(old: str) -> str:
            return re.sub(r"^(blocks|combine)\.(\d+)", lambda match: f"{match[1]}.{int(match[2]) + shift}", old)

        return {name(old): value for old, value in weights.items() if shift == 0 or not old.startswith("from_rgb.")}
