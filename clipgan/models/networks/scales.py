"""The images that G makes and D sees; multi-scale networks have them at every smaller scale too (arXiv:1903.06048).

Shapes: N batch, R resolution.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from clipgan.models.networks.resample import downsample


class Scales(NamedTuple):
    """Images at all scales; real images are in [-1, 1]. Encoders and metrics use `image` only."""

    image: Tensor  # [N, 3, R, R]
    smaller: tuple[Tensor, ...] = ()  # [N, 3, R/2, R/2], [N, 3, R/4, R/4], ..., [N, 3, 4, 4]; empty for one scale

    def all(self) -> tuple[Tensor, ...]:
        """Return all scales, from the largest to the smallest."""
        return self.image, *self.smaller

    def map(self, function: Callable[[Tensor], Tensor]) -> "Scales":
        """Apply a function to each scale."""
        return Scales(function(self.image), tuple(map(function, self.smaller)))


def scales_of(images: Tensor, multi_scale: bool) -> Scales:
    """Make the scales of real images [N, 3, R, R] for D: one scale, or also 2 x 2 averages down to 4 x 4 pixels."""
    scales = [images]
    while multi_scale and scales[-1].shape[-1] > 4:
        scales.append(downsample(scales[-1]))
    return Scales(scales[0], tuple(scales[1:]))
