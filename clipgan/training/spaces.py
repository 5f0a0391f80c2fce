"""The three spaces and their targets: what embeds an image, and against what a pair contrasts it.

Shapes: N batch, R resolution, C width of CLIP's embedding, Q width of the ResNet's.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from clipgan.data.batches import Batch
from clipgan.encoders.clip import FrozenClip
from clipgan.encoders.resnet import FrozenResNet
from clipgan.losses.contrastive import unit


@dataclass(frozen=True)
class FrozenSpaces:
    """The encoders that do not train."""

    clip: FrozenClip
    resnet: FrozenResNet | None  # None where no term needs it
    text_to_resnet: Tensor | None  # W, [C, Q]
    online: bool  # whether the features of real images are computed in the step

    def embed(self, space: str, images: Tensor) -> Tensor:
        """f_CLIP or f_ResNet of images in [-1, 1]: [N, 3, R, R] -> [N, C] or [N, Q], unit length."""
        if space == "CLIP":
            return self.clip.encode_image(images)
        assert self.resnet is not None
        return self.resnet.encode_image(images)

    def text_target(self, space: str, text: Tensor) -> Tensor:
        """The target of an image-text pair: u, or u W for the ResNet, which has no text tower; unit length."""
        if space != "ResNet":
            return text
        assert self.text_to_resnet is not None
        return unit(text @ self.text_to_resnet)

    @torch.no_grad()
    def image_target(self, space: str, batch: Batch) -> Tensor:
        """The target of an image-image pair in a frozen space: v or r, unit length."""
        if self.online:
            return self.embed(space, batch.images)
        if space == "CLIP":
            return batch.clip_image
        assert batch.resnet_image is not None
        return batch.resnet_image
