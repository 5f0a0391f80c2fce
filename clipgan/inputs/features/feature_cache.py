"""The cache of features of the real images and captions: computed once for each data set and encoder.

Shapes: N images, M captions (of all images, in order), F flips (1, or 2 with the mirrored image), C width of CLIP's
embedding, Q width of the ResNet's embedding. Rows have unit length; feature arrays are float16 and memory-mapped.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clipgan.base.arrays import save_array
from clipgan.base.cache import cache_entry
from clipgan.base.randomness import normals, stream
from clipgan.inputs.data.memory_maps import release_pages
from clipgan.inputs.data.pack import SPLITS, PackedData
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.encoders.resnet import FrozenResNet
from clipgan.inputs.features.encoding import write_clip_features, write_image_features
from clipgan.inputs.features.ridge import Pairs, r_squared, ridge_regression
from clipgan.inputs.features.text_noise import perturb

VERSION = 2  # part of the cache key: raise it when the same images would give different rows or files
RIDGE_CHUNK = 4096  # images


@dataclass(frozen=True)
class SplitFeatures:
    """The features of one split."""

    caption_start: np.ndarray  # int [N + 1]: the captions of image i are rows caption_start[i] to caption_start[i + 1]
    clip_text: np.ndarray  # u, [M, C]; M = 0 in a data set without captions
    clip_image: np.ndarray  # v, [F, N, C]
    resnet_image: np.ndarray | None  # r, [F, N, Q]; None if no term needs the ResNet space


@dataclass(frozen=True)
class Features:
    """The features of both splits, and the linear map from CLIP's text space to the ResNet's space."""

    train: SplitFeatures
    heldout: SplitFeatures
    text_to_resnet: Tensor | None  # W, [C, Q]: u W is the ResNet's target for a caption
    text_to_resnet_r2: float | None  # R^2 of W on the held-out split; None if all held-out images are equal


def load_features(
    data: PackedData,
    clip: FrozenClip,
    resnet: FrozenResNet | None,
    ridge: float,
    cache_dir: Path,
    device: torch.device,
    pseudo_text: float | None = None,
) -> Features:
    """Load the features from the cache; compute missing ones first.

    Args:
        data: the packed data set.
        clip: the guiding CLIP.
        resnet: None if no term needs the ResNet space.
        ridge: strength of the ridge regression from text embeddings to ResNet features, per sample.
        cache_dir: the root of the cache.
        device: where the encoders run.
        pseudo_text: noise level of the pseudo texts that the regression learns from; None: it learns from captions.
    """
    base = {"data": data.fingerprint, "x_flip": data.x_flip, "version": VERSION}
    clip_entry = cache_entry(
        cache_dir,
        "features",
        {**base, "encoder": clip.key},
        lambda to: write_clip_features(to, data, clip, device),
        resumable=True,
        mapped=True,
    )
    resnet_entry = None
    if resnet is not None:
        resnet_entry = cache_entry(
            cache_dir,
            "features",
            {**base, "encoder": resnet.key},
            lambda to: write_image_features(to, data, resnet, "ResNet", device, given={}),
            resumable=True,
            mapped=True,
        )
    splits: dict[str, Any] = {
        name: SplitFeatures(
            caption_start=_read(clip_entry, f"{name}_caption_start"),
            clip_text=_read(clip_entry, f"{name}_text"),
            clip_image=_read(clip_entry, f"{name}_image"),
            resnet_image=None if resnet_entry is None else _read(resnet_entry, f"{name}_image"),
        )
        for name in SPLITS
    }
    if resnet_entry is None:
        return Features(**splits, text_to_resnet=None, text_to_resnet_r2=None)
    entry = cache_entry(
        cache_dir,
        "ridge",
        {"clip": clip_entry.name, "resnet": resnet_entry.name, "ridge": ridge, "pseudo_text": pseudo_text},
        lambda to: _write_ridge(to, splits["train"], splits["heldout"], ridge, pseudo_text),
    )
    weights = torch.from_numpy(np.array(_read(entry, "weights"))).to(device)
    r2 = float(_read(entry, "r2"))
    return Features(**splits, text_to_resnet=weights, text_to_resnet_r2=None if math.isnan(r2) else r2)


def _read(entry: Path, name: str) -> np.ndarray:
    return np.load(entry / f"{name}.npy", mmap_mode="r")


def _write_ridge(
    directory: Path, train: SplitFeatures, heldout: SplitFeatures, strength: float, pseudo_text: float | None
) -> None:
    weights = ridge_regression(_text_and_resnet(train, pseudo_text), strength)
    save_array(directory / "weights.npy", weights)
    save_array(directory / "r2.npy", r_squared(_text_and_resnet(heldout, pseudo_text), weights))


def _text_and_resnet(split: SplitFeatures, pseudo_text: float | None) -> Pairs:
    """Yield chunks of pairs: CLIP's features of each caption (or pseudo text), the ResNet's of its unmirrored image."""
    assert split.resnet_image is not None
    draw = normals(stream(0, "pseudo text of the ridge"))
    for start in range(0, split.resnet_image.shape[1], RIDGE_CHUNK):
        release_pages(split.resnet_image)
        release_pages(split.clip_text)
        resnet = split.resnet_image[0, start : start + RIDGE_CHUNK].astype(np.float32)
        if pseudo_text is not None:
            images = torch.from_numpy(split.clip_image[0, start : start + RIDGE_CHUNK].astype(np.float32))
            yield perturb(images, pseudo_text, draw).numpy(), resnet
        else:
            starts = split.caption_start[start : start + RIDGE_CHUNK + 1]
            yield split.clip_text[starts[0] : starts[-1]], resnet.repeat(np.diff(starts), axis=0)
