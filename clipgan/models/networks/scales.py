"""What G makes and D sees: an image, and for multi-scale networks the same at every smaller scale (arXiv:1903.06048).

Shapes: N batch, R resolution.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from clipgan.models.networks.layers import downsample


class Scales(NamedTuple):
    """Images, in [-1, 1] if they are real. Encoders and metrics take `image` alone."""

    image: Tensor  # [N, 3, R, R]
    smaller: tuple[Tensor, ...] = ()  # [N, 3, R/2, R/2], [N, 3, R/4, R/4], ..., [N, 3, 4, 4]; none for one scale

    def all(self) -> tuple[Tensor, ...]:
        """From the largest to the smallest."""
        return self.image, *self.smaller

    def map(self, function: Callable[[Tensor], Tensor]) -> "Scales":
        """A function of each scale."""
        return Scales(function(self.image), tuple(map(function, self.smaller)))


def scales_of(images: Tensor, multi_scale: bool) -> Scales:
    """Real images [N, 3, R, R] as D sees them: by themselves, or with their 2 x 2 averages down to 4 x 4."""
    scales = [images]
    while multi_scale and scales[-1].shape[-1] > 4:
        scales.append(downsample(scales[-1]))
    return Scales(scales[0], tuple(scales[1:]))
