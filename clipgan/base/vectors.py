"""Vectors of unit length."""

import torch.nn.functional as F
from torch import Tensor


def unit(x: Tensor) -> Tensor:
    """Scale the rows of [N, d] to length 1."""
    return F.normalize(x, dim=1)
