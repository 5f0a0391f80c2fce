"""The numbers that an augmentation draws, for each image its own."""

import torch
from torch import Tensor

from clipgan.base.randomness import Draw

WIDTH = 32  # numbers an image, more than any policy takes


class Rows:
    """Numbers of N images from one draw; each call takes the next [N]."""

    def __init__(self, draw: Draw, count: int) -> None:
        """`draw` makes standard normals; `count` is N."""
        self._columns = iter(draw((count, WIDTH)).unbind(dim=1))

    def normal(self) -> Tensor:
        """Standard normal."""
        return next(self._columns)

    def uniform(self) -> Tensor:
        """Between 0 and 1: the normal distribution's own cumulative probability."""
        return torch.special.ndtr(self.normal())

    def integer(self, count: int) -> Tensor:
        """0 to `count` - 1, as floating-point numbers."""
        return (self.uniform() * count).floor().clamp(max=count - 1)

    def perhaps(self, p: Tensor, value: Tensor, otherwise: float) -> Tensor:
        """`value` with probability `p`, a scalar."""
        return torch.where(self.uniform() < p, value, otherwise)
