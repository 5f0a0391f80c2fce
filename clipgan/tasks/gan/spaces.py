"""The three spaces of the contrastive terms: embed an image, and find the target of a pair.

Shapes: N batch, R resolution, C width of CLIP's embedding, Q width of the ResNet's.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from clipgan.base.vectors import unit
from clipgan.inputs.batches.batches import Targets
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.encoders.resnet import FrozenResNet


@dataclass(frozen=True)
class FrozenSpaces:
    """Holds the frozen encoders."""

    clip: FrozenClip
    resnet: FrozenResNet | None  # None if no term needs it
    text_to_resnet: Tensor | None  # W, [C, Q]

    def embed(self, space: str, images: Tensor) -> Tensor:
        """Compute f_CLIP or f_ResNet of images in [-1, 1]: [N, 3, R, R] -> [N, C] or [N, Q], unit length."""
        if space == "CLIP":
            return self.clip.encode_image(images)
        assert self.resnet is not None
        return self.resnet.encode_image(images)

    @torch.no_grad()
    def target(self, space: str, pair: str, of: Targets) -> Tensor:
        """Return a pair's targets in a frozen space: [N, C] or [N, Q], unit length.

        `it`: u, or u W for the ResNet, which has no text tower. `ii`: v or r.
        """
        if pair == "it":
            return of.text if space == "CLIP" else self._text_in_resnet(of.text)
        if space == "CLIP":
            return of.clip_image
        assert of.resnet_image is not None
        return of.resnet_image

    def _text_in_resnet(self, text: Tensor) -> Tensor:
        assert self.text_to_resnet is not None
        return unit(text @ self.text_to_resnet)
