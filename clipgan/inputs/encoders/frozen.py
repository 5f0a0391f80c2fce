"""The base class of frozen encoders, which never train and know the identity of their weights."""

import hashlib
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import nn

from clipgan.base.cache import digest
from clipgan.inputs.encoders.preprocess import Preprocess


class FrozenEncoder(nn.Module):
    """An encoder that stays in evaluation mode, also after `train()`, and whose parameters have no gradient."""

    dim: int  # width of the embedding
    backbone: Any  # an nn.Module with methods of its own
    weights: str  # SHA-256 of the weights
    key: str  # identity of architecture, weights, preprocessing and precision, for cache keys

    def __init__(
        self,
        backbone: nn.Module,
        preprocess: Preprocess,
        dim: int,
        architecture: Mapping[str, Any],
        precision: str = "float32",
    ) -> None:
        """Freeze a backbone.

        Args:
            backbone: the network, with its weights.
            preprocess: the preprocessing that the weights were trained with.
            dim: width of the embedding.
            architecture: plain JSON values that identify the architecture.
            precision: `float32`, or `bfloat16` for autocast to bfloat16; the embedding is float32 in both cases.
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
        """Return the autocast context in which the backbone must run."""
        device = self.preprocess.mean.device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.precision == "bfloat16")

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode; `mode` is ignored."""
        return self


def _store_in_bfloat16(module: nn.Module) -> None:
    """Store the weights of linear, convolution and attention layers in bfloat16, as autocast would cast them.

    Autocast casts them at each use, which takes longer than the products if there are many weights and few images.
    """
    for child in module.modules():
        if isinstance(child, nn.Linear | nn.Conv2d | nn.MultiheadAttention):
            for parameter in child.parameters(recurse=False):
                parameter.data = parameter.data.bfloat16()


def weights_digest(module: nn.Module) -> str:
    """Return the SHA-256 over names, shapes, dtypes and values of a module's state dict."""
    sha = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        sha.update(f"{name} {list(tensor.shape)} {tensor.dtype};".encode())
        sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return sha.hexdigest()
