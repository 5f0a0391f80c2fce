"""The random numbers of an augmentation, independent for each image."""

import torch
from torch import Tensor

from clipgan.base.randomness import Draw

WIDTH = 32  # numbers for each image, more than any policy needs


class Rows:
    """Random numbers for N images from one draw; each call returns the next [N]."""

    def __init__(self, draw: Draw, count: int) -> None:
        """Draw standard normals for N = `count` images."""
        self._columns = iter(draw((count, WIDTH)).unbind(dim=1))

    def normal(self) -> Tensor:
        """Return standard normal numbers."""
        return next(self._columns)

    def uniform(self) -> Tensor:
        """Return uniform numbers in [0, 1]: the cumulative normal probability of `normal()`."""
        return torch.special.ndtr(self.normal())

    def integer(self, count: int) -> Tensor:
        """Return uniform integers from 0 to `count` - 1, as floating-point numbers."""
        return (self.uniform() * count).floor().clamp(max=count - 1)

    def with_probability(self, p: Tensor, value: Tensor, otherwise: float) -> Tensor:
        """Return `value` with probability `p` (a scalar), else `otherwise`."""
        return torch.where(self.uniform() < p, value, otherwise)
