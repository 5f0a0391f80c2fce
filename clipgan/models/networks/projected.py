"""A discriminator that reads the layers of a frozen network: a head with the text's projection on each (StyleGAN-T).

Shapes: N batch, K layers, I channels of a layer, H = W resolution of a layer, S the largest H of all layers, P width of
a head, T width of the text projection, C width of CLIP's embedding.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from clipgan.models.networks.derivatives import SLOPE
from clipgan.models.networks.discriminator import DiscriminatorOutput
from clipgan.models.networks.layers import Linear, normalise_second_moment


class Head(nn.Module):
    """Judges each position of a layer's map: two spectrally normalised convolutions, then the product with the text.

    StyleGAN-T (arXiv:2301.09515, section 3.2) normalises over some images of a batch. Here, each image is normalised by
    itself, so no image's logits depend on the others.
    """

    def __init__(self, channels: int, width: int, text_dim: int, clip_dim: int) -> None:
        super().__init__()
        self.enter = spectral_norm(nn.Conv2d(channels, width, 1))
        self.enter_norm = nn.GroupNorm(1, width)
        self.inner = spectral_norm(nn.Conv2d(width, width, 3, padding=1))
        self.inner_norm = nn.GroupNorm(1, width)
        self.project = spectral_norm(nn.Conv2d(width, text_dim, 1))
        self.text_projection = Linear(clip_dim, text_dim)

    def improve_norms(self) -> None:
        """Do one power iteration for each weight's spectral norm."""
        layers: tuple[Any, ...] = (self.enter, self.inner, self.project)
        for layer in layers:
            [norm] = layer.parametrizations.weight
            norm.train()
            _ = layer.weight  # this computes the parametrization, which iterates in training mode only
            norm.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map [N, I, H, H] to mean features, [N, P], and to the maps p(x) that texts multiply, [N, T, H, H]."""
        h = F.leaky_relu(self.enter_norm(self.enter(x)), SLOPE)
        h = (h + F.leaky_relu(self.inner_norm(self.inner(h)), SLOPE)) * math.sqrt(0.5)
        return h.mean(dim=(2, 3)), self.project(h)

    def logits(self, projected: Tensor, text: Tensor) -> Tensor:
        """Return <p(x), q(c)> / sqrt T at each position: [N, T, H, H], texts [N, C] of mean square 1 -> [N, H, H]."""
        q = self.text_projection(text)[:, :, None, None]
        return (projected * q).sum(dim=1) / math.sqrt(q.shape[1])


class ProjectedDiscriminator(nn.Module):
    """D(x, c) maps the frozen maps of an image and a text condition to logits, and the image into CLIP's space."""

    def __init__(self, channels: Sequence[int], width: int, text_dim: int, clip_dim: int) -> None:
        """Make one head for each layer, with random weights.

        Args:
            channels: I of each layer.
            width: P.
            text_dim: T.
            clip_dim: C.
        """
        super().__init__()
        self.heads = nn.ModuleList(Head(each, width, text_dim, clip_dim) for each in channels)
        self.embedding = Linear(len(channels) * width, clip_dim)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Keep the norms' estimates as they are, in every mode: `begin_step` alone improves them."""
        return super().train(False)

    @torch.no_grad()
    def begin_step(self) -> None:
        """Improve the estimate of each weight's spectral norm by one power iteration.

        It happens once in a step, so that all passes of a step have the same weights: micro-batches, processes and
        gradient caching then give the whole batch's result.
        """
        for head in self._heads():
            head.improve_norms()

    def forward(
        self, maps: Sequence[Tensor], condition: Tensor, mismatched: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Judge images against their text.

        Args:
            maps: the frozen network's maps of the images, [N, I, H, H] for each layer.
            condition: [N, C], unit length.
            mismatched: conditions of other images, [N, C], with which D sees the images as well.

        Returns:
            Logits of each layer and position, [N, K S^2]: smaller maps of logits are repeated, so that all layers count
            alike. And f_D(x), which does not depend on the text.
        """
        means, projected = zip(*(head(x) for head, x in zip(self._heads(), maps, strict=True)), strict=True)
        size = max(x.shape[-1] for x in maps)

        def logits(text: Tensor) -> Tensor:
            text = normalise_second_moment(text)
            found = [head.logits(p, text) for head, p in zip(self._heads(), projected, strict=True)]
            return torch.cat([F.interpolate(x[:, None], size=size).flatten(1) for x in found], dim=1)

        others = None if mismatched is None else logits(mismatched)
        return DiscriminatorOutput(logits(condition), self.embedding(torch.cat(means, dim=1)), others)

    def _heads(self) -> list[Head]:
        return [head for head in self.heads if isinstance(head, Head)]

    def joinable(self, rows: int) -> bool:
        """See `Discriminator.joinable`; here no image's logits depend on another image."""
        return True

    def layers_from_image(self) -> list[nn.Module]:
        """See `Discriminator.layers_from_image`; Freeze-D has nothing to freeze here."""
        return []

    @staticmethod
    def renumbered(weights: Mapping[str, Tensor], source: int, target: int) -> dict[str, Tensor]:
        """See `Discriminator.renumbered`; the names do not depend on the resolution."""
        return dict(weights)
