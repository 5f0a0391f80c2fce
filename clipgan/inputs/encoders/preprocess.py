"""Differentiable preprocessing of generated images for a backbone."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


class Preprocess(nn.Module):
    """Resizes (antialiased) to the backbone's size and normalises with its mean and standard deviation.

    Values outside [-1, 1], from a generator or from overshooting interpolation, are not clamped: a clamp would remove
    the gradient from exactly the pixels that need one.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, size: int, mean: Sequence[float], std: Sequence[float], interpolation: str = "bicubic") -> None:
        """Set `size` in pixels, `mean` and `std` of RGB in [0, 1], `interpolation` bicubic or bilinear."""
        super().__init__()
        self.size = size
        self.interpolation = interpolation
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Convert float [N, 3, R, R] in [-1, 1] to normalised float32 [N, 3, size, size]."""
        images = images.float()
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(images, size=self.size, mode=self.interpolation, align_corners=False, antialias=True)
        return ((images + 1) / 2 - self.mean) / self.std

    def describe(self) -> dict[str, object]:
        """Return all settings as plain JSON values, for a cache key."""
        return {
            "size": self.size,
            "interpolation": self.interpolation,
            "mean": [round(value, 6) for value in self.mean.flatten().tolist()],
            "std": [round(value, 6) for value in self.std.flatten().tolist()],
        }
