"""What frozen encoders share: they never train, and they know the identity of their weights."""

import hashlib
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import nn

from clipgan.cache import digest
from clipgan.encoders.preprocess import Preprocess


class FrozenEncoder(nn.Module):
    """An encoder in evaluation mode whose parameters take no gradient, whatever `train()` says."""

    dim: int  # width of its embedding
    backbone: Any  # an nn.Module with methods of its own
    key: str  # identity of architecture, weights and preprocessing, for cache keys

    def __init__(self, backbone: nn.Module, preprocess: Preprocess, dim: int, architecture: Mapping[str, Any]) -> None:
        super().__init__()
        self.dim = dim
        self.preprocess = preprocess
        self.backbone = backbone.requires_grad_(False)
        super().train(False)
        self.key = digest(
            {"architecture": architecture, "preprocess": preprocess.describe(), "weights": weights_digest(backbone)}
        )

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode; `mode` is ignored."""
        return self


def weights_digest(module: nn.Module) -> str:
    """SHA-256 over names, shapes and values of a module's state."""
    sha = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        sha.update(f"{name} {list(tensor.shape)} {tensor.dtype};".encode())
        sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return sha.hexdigest()
