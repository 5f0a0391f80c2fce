"""Differentiable preprocessing of generated images for a backbone."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn


class Resizing(NamedTuple):
    """Resizes images with two matrix products: [N, 3, H, W] -> [N, 3, size, size].

    On a GPU, PyTorch has no deterministic gradient of its own antialiased resize. With TensorFloat-32 the products
    round pixels to 10 bits, as the encoder's first layer then does too.
    """

    down: torch.Tensor  # [size, H]
    across: torch.Tensor  # [size, W]
    beside: torch.Tensor | None = None  # [size, size], added to each image: what lies beside it

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Resize images [N, 3, H, W]."""
        with torch.autocast(images.device.type, enabled=False):  # autocast would round the pixels to 8 bits
            resized = self.down @ images @ self.across.T
        return resized if self.beside is None else resized + self.beside


class Preprocess(nn.Module):
    """Resizes (antialiased) to the backbone's size and normalises with its mean and standard deviation.

    Values outside [-1, 1], from a generator or from overshooting interpolation, are not clamped: a clamp would remove
    the gradient from exactly the pixels that need one.
    """

    mean: torch.Tensor
    std: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, size: int, mean: Sequence[float], std: Sequence[float], interpolation: str = "bicubic") -> None:
        """Set `size` in pixels, `mean` and `std` of RGB in [0, 1], `interpolation` bicubic or bilinear."""
        super().__init__()
        self.size = size
        self.interpolation = interpolation
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        # ((x + 1) / 2 - mean) / std = scale x + shift
        self.register_buffer("scale", 0.5 / self.std, persistent=False)
        self.register_buffer("shift", (0.5 - self.mean) / self.std, persistent=False)

    def forward(self, images: torch.Tensor, resizing: Resizing | None = None) -> torch.Tensor:
        """Convert float [N, 3, R, R] in [-1, 1] to normalised float32 [N, 3, size, size].

        Args:
            images: in [-1, 1].
            resizing: to `size`; None: of the whole images, antialiased.
        """
        images = images.float()
        if resizing is None and images.shape[-2:] != (self.size, self.size):
            resizing = Resizing(*(whole(edge, self.size, self.interpolation, images.dtype, images.device)
                                  for edge in images.shape[-2:]))  # fmt: skip
        if resizing is not None:
            images = resizing(images)
        return torch.addcmul(self.shift, images, self.scale)

    def describe(self) -> dict[str, object]:
        """Return all settings as plain JSON values, for a cache key."""
        return {
            "size": self.size,
            "interpolation": self.interpolation,
            "mean": [round(value, 6) for value in self.mean.flatten().tolist()],
            "std": [round(value, 6) for value in self.std.flatten().tolist()],
        }


@lru_cache  # a CUDA graph can record a later use, but not the first
def whole(source: int, target: int, mode: str, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return the matrix [target, source] that resizes an edge of `source` pixels like `F.interpolate(antialias=True)`.

    Args:
        source, target: pixels.
        mode: bicubic | bilinear.
        dtype: of the matrix; its entries are computed in float64.
        device: of the matrix.
    """
    edges = torch.eye(source, dtype=torch.float64)[None, None]
    weights = F.interpolate(edges, size=(target, source), mode=mode, align_corners=False, antialias=True)
    return weights[0, 0].to(device, dtype)
