"""The base class of frozen encoders, which never train and know the identity of their weights."""

import hashlib
from collections.abc import Mapping
from typing import Any, Self

import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import nn
from torchvision.models import ResNet

from clipgan.base.cache import digest
from clipgan.inputs.encoders.folding import fold_batch_norms
from clipgan.inputs.encoders.preprocess import Preprocess, Resizing
from clipgan.inputs.encoders.tiny.tiny_resnet import TinyResNet

CONVOLUTIONAL = (ModifiedResNet, ResNet, TinyResNet)  # image towers whose BatchNorms follow their convolutions


class FrozenEncoder(nn.Module):
    """An encoder that stays in evaluation mode, also after `train()`, and whose parameters have no gradient."""

    dim: int  # width of the embedding
    backbone: Any  # an nn.Module with methods of its own
    weights: str  # SHA-256 of the weights
    key: str  # identity of everything that cached features depend on

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
            precision: `bfloat16` for autocast to bfloat16. All others are `float32`, until `start_steps`. The embedding
                is float32 in each case.
        """
        super().__init__()
        self.dim = dim
        self.precision = "bfloat16" if precision == "bfloat16" else "float32"
        self.preprocess = preprocess
        self.backbone = backbone.requires_grad_(False)
        super().train(False)
        self.weights = weights_digest(backbone)
        identity = {
            "architecture": architecture,
            "preprocess": preprocess.describe(),
            "weights": self.weights,
        }
        if self.precision != "float32":
            identity["precision"] = self.precision
        self.key = digest(identity)
        self.layout = torch.contiguous_format
        if isinstance(self.tower, CONVOLUTIONAL):
            self.layout = torch.channels_last  # convolutions read it faster
            fold_batch_norms(self.tower)
            self.tower.to(memory_format=self.layout)
        self._set_tower_precision(self.precision)

    @property
    def tower(self) -> nn.Module:
        """The network that encodes images."""
        tower: nn.Module = getattr(self.backbone, "visual", self.backbone)  # open_clip's name
        return tower

    def pixels(self, images: torch.Tensor, resizing: Resizing | None = None) -> torch.Tensor:
        """Preprocess images [N, 3, R, R] in [-1, 1] for the tower, in its memory layout; differentiable."""
        pixels: torch.Tensor = self.preprocess(images, resizing)
        return pixels.contiguous(memory_format=self.layout)

    def start_steps(self, precision: str) -> None:
        """Encode images for the steps of a training from now on, not for the cache.

        Args:
            precision: `mixed` changes the image tower from float32 to bfloat16; any other changes nothing.
        """
        if precision == "mixed":
            self._set_tower_precision("bfloat16")

    def _set_tower_precision(self, precision: str) -> None:
        self.tower_precision = precision
        if precision == "bfloat16":
            _store_in_bfloat16(self.tower)

    def autocast(self) -> torch.autocast:
        """Return the autocast context in which the image tower must run."""
        device = self.preprocess.mean.device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.tower_precision == "bfloat16")

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
