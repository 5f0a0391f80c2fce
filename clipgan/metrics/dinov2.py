"""DINOv2's ViT-L/14 as the extractor of FD-DINOv2 (arXiv:2306.04675; dgm-eval).

Shapes: N images, R resolution, P patches on an edge (16 of 224 pixels; DINOv2 was trained with 37 of 518).
"""

import functools
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from clipgan.base.checksums import file_digest
from clipgan.base.device import tensorfloat
from clipgan.inputs.encoders.hub import hub_file
from clipgan.inputs.encoders.published import PUBLISHED_DINOV2, mark_of
from clipgan.inputs.encoders.weights import SkipRandomInit, load_strictly, read_state_dict
from clipgan.metrics.pillow_resize import pillow_resize

MODEL = "vit_large_patch14_dinov2"
REPOSITORY = "timm/vit_large_patch14_dinov2.lvd142m"
KEY = "metrics.dinov2_weights"
SIDE, PATCH = 224, 14  # pixels
OFFSET = 0.1  # DINOv2 adds it to the number of patches before it resamples the positions


class Dinov2Extractor:
    """The class token behind the last layer norm, of images that Pillow has resized to 224 pixels (bicubic)."""

    def __init__(self, model: torch.nn.Module, key: str, mark: str, device: torch.device) -> None:
        """Take timm's `model` for 224 pixels, and see `Extractor` for `key` and `mark`."""
        self.model = model.eval().requires_grad_(False).to(device)
        self.key, self.mark = key, mark
        self.mean, self.std = (
            torch.tensor(values, device=device).view(1, 3, 1, 1)
            for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        )

    def pixels(self, images: Tensor) -> Tensor:
        """Preprocess uint8 [N, 3, R, R] to float32 [N, 3, 224, 224]."""
        return (pillow_resize(images, SIDE).float() / 255 - self.mean) / self.std

    @torch.no_grad()
    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """See `Extractor`."""
        with tensorfloat(False):
            return {"features": self.model(self.pixels(images))}


@functools.cache  # loaded before the data, so that missing weights are named at once, and used after it
def load_dinov2(given: str | None, device: torch.device, model: str = MODEL) -> Dinov2Extractor:
    """Load the network: timm's file, or Meta's `dinov2_vitl14_pretrain.pth`.

    Args:
        given: `metrics.dinov2_weights`; None: timm's file, from the hub or its cache.
        device: the device of the network.
        model: timm's name; another one than `MODEL` is for tests.

    Raises:
        UserError: the weights are missing, or are another network's.
    """
    wanted = "metrics.fd_dinov2"
    path = Path(given) if given else hub_file(REPOSITORY, ["model.safetensors", "pytorch_model.bin"], wanted, KEY)
    state = read_state_dict(path, KEY)
    state.pop("mask_token", None)  # for DINOv2's training only
    if "pos_embed" in state and state["pos_embed"].ndim == 3:
        state["pos_embed"] = resampled(state["pos_embed"], SIDE // PATCH)
    with SkipRandomInit():
        network: Any = timm.create_model(model, pretrained=False, num_classes=0, img_size=SIDE)
    load_strictly(network, state, f"{KEY}={path}", model)
    digest = file_digest(path)
    return Dinov2Extractor(network, f"{model} {digest}", mark_of(digest, PUBLISHED_DINOV2) if given else "", device)


def resampled(positions: Tensor, patches: int) -> Tensor:
    """Resample position embeddings [1, 1 + Q * Q, D] to [1, 1 + P * P, D] as DINOv2 does, not as timm does.

    DINOv2 resamples without antialiasing, and at a scale of (P + 0.1) / Q. timm antialiases, at P / Q.
    """
    edge = round((positions.shape[1] - 1) ** 0.5)
    if edge == patches:
        return positions
    grid = positions[:, 1:].float().reshape(1, edge, edge, -1).permute(0, 3, 1, 2)
    scale = (patches + OFFSET) / edge
    grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic", antialias=False)
    return torch.cat([positions[:, :1].float(), grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
