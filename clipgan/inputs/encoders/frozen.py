"""What frozen encoders share: they never train, and they know the identity of their weights."""

import hashlib
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import nn

from clipgan.base.cache import digest
from clipgan.inputs.encoders.preprocess import Preprocess


class FrozenEncoder(nn.Module):
    """An encoder in evaluation mode whose parameters take no gradient, whatever `train()` says."""

    dim: int  # width of its embedding
    backbone: Any  # an nn.Module with methods of its own
    weights: str  # their digest
    key: str  # identity of architecture, weights, preprocessing and precision, for cache keys

    def __init__(
        self,
        backbone: nn.Module,
        preprocess: Preprocess,
        dim: int,
        architecture: Mapping[str, Any],
        precision: str = "float32",
    ) -> None:
        """
        Args:
            backbone: with its weights.
            preprocess: as in the training of the weights.
            dim: width of its embedding.
            architecture: what identifies it, as plain JSON values.
            precision: float32, or bfloat16 for autocast to it; the embedding is float32 either way.
        """
        super().__init__()
        self.dim = dim
        self.precision = precision
        self.preprocess = preprocess
        self.backbone = backbone.requires_grad_(False)
        super().train(False)
        self.weights = weights_digest(backbone)
        identity = {
            "architecture": architecture,
            "preprocess": preprocess.describe(),
            "weights": self.weights,
        }
        if precision != "float32":
            identity["precision"] = precision
            _store_in_bfloat16(getattr(backbone, "visual", backbone))  # open_clip's name for the image tower
        self.key = digest(identity)

    def autocast(self) -> torch.autocast:
        """The context in which the backbone runs."""
        device = self.preprocess.mean.device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.precision == "bfloat16")

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode; `mode` is ignored."""
        return self


def _store_in_bfloat16(module: nn.Module) -> None:
    """Keep the weights that autocast would round at each use, those of large products, as it would round them: with
    many weights and few images, rounding takes longer than the products.
    """
    for child in module.modules():
        if isinstance(child, nn.Linear | nn.Conv2d | nn.MultiheadAttention):
            for parameter in child.parameters(recurse=False):
                parameter.data = parameter.data.bfloat16()


def weights_digest(module: nn.Module) -> str:
    """SHA-256 over names, shapes and values of a module's state."""
    sha = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        sha.update(f"{name} {list(tensor.shape)} {tensor.dtype};".encode())
        sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return sha.hexdigest()
