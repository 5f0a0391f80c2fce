"""The maps of some layers of a frozen network, which a projected discriminator reads.

Shapes: N images, R resolution, I channels and H = W resolution of a layer.
"""

import itertools
from collections.abc import Sequence
from typing import Any, cast

import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from clipgan.base.cache import digest
from clipgan.base.errors import UserError
from clipgan.inputs.encoders.frozen import FrozenEncoder

LAYERS = 4  # layers that are read unless the configuration names them


class FrozenLayers(nn.Module):
    """Reads some layers of a frozen encoder's image tower; gradients pass to the images only.

    The layers of a transformer are its blocks, without the class token. A convolutional network's are its stages.
    """

    channels: list[int]  # I of each layer
    key: str  # identity of network and layers

    def __init__(self, encoder: FrozenEncoder, name: str, layers: Sequence[int] | None) -> None:
        """Choose layers.

        Args:
            encoder: the network, on its device.
            name: its name, for the message.
            layers: numbers of the layers, rising; None: four, evenly spread over the depth, up to the last.

        Raises:
            UserError: the network lacks a layer, or does not give its layers.
        """
        super().__init__()
        self.encoder = encoder
        shapes = self._shapes(name)
        depth = len(shapes)
        if layers is None:
            count = min(LAYERS, depth)
            layers = [(number + 1) * depth // count - 1 for number in range(count)]
        if layers[-1] >= depth:
            raise UserError(
                f"discriminator.layers={list(layers)} is not allowed: {name} has the layers {_listed(shapes)}"
            )
        self.layers = list(layers)
        self.channels = [shapes[layer][0] for layer in self.layers]
        self.key = digest({"encoder": encoder.key, "layers": self.layers})

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map images [N, 3, R, R] in [-1, 1] to float32 [N, I, H, H] for each layer; differentiable."""
        return self._maps(images, self.layers)

    def _maps(self, images: Tensor, layers: list[int] | None) -> list[Tensor]:
        encoder, forward = self.encoder, cast(Any, self.encoder.tower).forward_intermediates
        with encoder.autocast():
            found = forward(
                encoder.pixels(images),
                indices=layers,
                stop_early=not isinstance(encoder.tower, ModifiedResNet),  # open_clip's stops without this only
                intermediates_only=True,
            )
        return [each.float() for each in (found["image_intermediates"] if isinstance(found, dict) else found)]

    @torch.no_grad()
    def _shapes(self, name: str) -> list[tuple[int, int]]:
        """Return I and H of all layers, by encoding one black image."""
        mean = self.encoder.preprocess.mean
        size = self.encoder.preprocess.size
        try:
            maps = self._maps(torch.zeros(1, 3, size, size, device=mean.device, dtype=mean.dtype), None)
        except AttributeError as error:
            raise UserError(f"discriminator.network={name} does not give its layers; choose another") from error
        return [(each.shape[1], each.shape[-1]) for each in maps]


def _listed(shapes: Sequence[tuple[int, int]]) -> str:
    """Turn the shapes of all layers into a list of runs: `0 (64 x 56 x 56), 1 to 3 (256 x 28 x 28)`."""
    runs = []
    for (channels, size), run in itertools.groupby(enumerate(shapes), key=lambda item: item[1]):
        numbers = [number for number, _ in run]
        span = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
        runs.append(f"{span} ({channels} x {size} x {size})")
    return ", ".join(runs)
