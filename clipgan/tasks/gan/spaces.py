"""The three spaces of the contrastive terms: embed an image, and find the target of a pair.

Shapes: N batch, R resolution, C width of CLIP's embedding, Q width of the ResNet's.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from clipgan.base.vectors import unit
from clipgan.inputs.batches.batches import Batch, Targets
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.encoders.preprocess import Resizing
from clipgan.inputs.encoders.resnet import FrozenResNet


@dataclass(frozen=True)
class FrozenSpaces:
    """Holds the frozen encoders."""

    clip: FrozenClip
    resnet: FrozenResNet | None  # None if no term needs it
    text_to_resnet: Tensor | None  # W, [C, Q]
    noisy_text: bool = False  # whether the batch's noisy text is the target, the condition of G and D

    def encoder(self, space: str) -> FrozenClip | FrozenResNet:
        """Return the encoder of a space, CLIP or ResNet."""
        if space == "CLIP":
            return self.clip
        assert self.resnet is not None
        return self.resnet

    def embed(self, space: str, images: Tensor, resizing: Resizing | None = None) -> Tensor:
        """Compute f_CLIP or f_ResNet of images in [-1, 1]: [N, 3, R, R] -> [N, C] or [N, Q], unit length.

        Args:
            space: CLIP or ResNet.
            images: in [-1, 1].
            resizing: how the images come to the encoder's size; None: as a whole, as the encoder's weights want it.
        """
        return self.encoder(space).encode_image(images, resizing)

    @torch.no_grad()
    def target(self, space: str, pair: str, of: Targets) -> Tensor:
        """Return a pair's targets in a frozen space: [N, C] or [N, Q], unit length.

        `it`: u (with noise if `noisy_text`), or u W for the ResNet, which has no text tower. `ii`: v or r.
        """
        if pair == "it":
            text = of.condition if self.noisy_text and isinstance(of, Batch) else of.text
            return text if space == "CLIP" else self._text_in_resnet(text)
        if space == "CLIP":
            return of.clip_image
        assert of.resnet_image is not None
        return of.resnet_image

    def _text_in_resnet(self, text: Tensor) -> Tensor:
        assert self.text_to_resnet is not None
        return unit(text @ self.text_to_resnet)
