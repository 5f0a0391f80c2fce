"""Features of the real images and captions, computed once for a data set and an encoder and shared by all runs.

Shapes: N images, M captions (of all images, in order), F flips (1, or 2 with the mirrored image), C width of CLIP's
embedding, Q width of the ResNet's. All rows have unit length; all arrays are float32 and memory-mapped.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clipgan.cache import cache_entry
from clipgan.data.pack import SPLITS, PackedData, Split
from clipgan.encoders.clip import FrozenClip
from clipgan.encoders.resnet import FrozenResNet
from clipgan.losses.contrastive import unit
from clipgan.progress import track
from clipgan.randomness import Draw, normals, stream
from clipgan.stored_features import checked, matching_features

VERSION = 1
CHUNK = 250


@dataclass(frozen=True)
class SplitFeatures:
    """The features of one split."""

    caption_start: np.ndarray  # int [N + 1]: the captions of image i are rows caption_start[i] to caption_start[i + 1]
    clip_text: np.ndarray  # u, [M, C]; M = 0 in a set without captions
    clip_image: np.ndarray  # v, [F, N, C]
    resnet_image: np.ndarray | None  # r, [F, N, Q]; None where no term needs the ResNet space


@dataclass(frozen=True)
class Features:
    """The features of both splits, and the map between the two spaces."""

    train: SplitFeatures
    heldout: SplitFeatures
    text_to_resnet: Tensor | None  # W, [C, Q]: u W is the ResNet's target for a caption
    text_to_resnet_r2: float | None  # its R^2 on the held-out split


def to_images(packed: np.ndarray, device: torch.device) -> Tensor:
    """uint8 [N, 3, R, R] -> float32 [N, 3, R, R] in [-1, 1], channels last."""
    images = torch.from_numpy(np.array(packed)).to(device)  # a copy: the packed array is read-only
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def load_features(
    data: PackedData,
    clip: FrozenClip,
    resnet: FrozenResNet | None,
    ridge: float,
    cache_dir: Path,
    device: torch.device,
    pseudo_text: float | None = None,
) -> Features:
    """The cached features, computed first where the cache does not have them.

    Args:
        data: the packed data set.
        clip: the guiding CLIP.
        resnet: None where no term needs the ResNet space.
        ridge: strength of the ridge regression from text embeddings to ResNet features, per sample.
        cache_dir: the root of the cache.
        device: where the encoders run.
        pseudo_text: level of the noise where that regression learns from pseudo texts; None: from the captions.
    """
    base = {"data": data.fingerprint, "x_flip": data.x_flip, "version": VERSION}
    clip_entry = cache_entry(
        cache_dir, "features", {**base, "encoder": clip.key}, lambda to: _write_clip(to, data, clip, device)
    )
    resnet_entry = None
    if resnet is not None:
        resnet_entry = cache_entry(
            cache_dir,
            "features",
            {**base, "encoder": resnet.key},
            lambda to: _write_images(to, data, resnet.encode_image, "ResNet", device, given={}),
        )
    splits: dict[str, Any] = {
        name: SplitFeatures(
            caption_start=caption_starts(getattr(data, name).captions),
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
    return Features(**splits, text_to_resnet=weights, text_to_resnet_r2=float(_read(entry, "r2")))


def perturb(features: Tensor, level: Tensor | float, draw: Draw) -> Tensor:
    """LAFITE's Gaussian perturbation (arXiv:2111.13792, eq. 3): f + level |f| n / |n| at unit length, n ~ N(0, I).

    It makes a condition of a caption's features u, and a pseudo text of an image's features v. (LAFITE's public code
    mixes (1 - a) f + a n / |n| instead: its a is a level of a / (1 - a) here.)

    Args:
        features: [N, C], unit length.
        level: length of the noise relative to the features, >= 0; [N, 1] or one for all.
        draw: makes n.
    """
    return unit(features + level * unit(draw(features.shape)))


def caption_starts(captions: Sequence[Sequence[str]]) -> np.ndarray:
    """Where each image's captions start in the list of all captions, and where the last one's end: int [N + 1]."""
    return np.concatenate([[0], np.cumsum([len(texts) for texts in captions])])


def ridge_regression(inputs: np.ndarray, outputs: np.ndarray, strength: float) -> np.ndarray:
    """argmin_W |inputs W - outputs|^2 / N + strength |W|^2, in float64.

    Args:
        inputs: [N, C].
        outputs: [N, Q].
        strength: > 0, per sample.

    Returns:
        W, float32 [C, Q].
    """
    x, y = inputs.astype(np.float64), outputs.astype(np.float64)
    gram = x.T @ x / len(x) + strength * np.eye(x.shape[1])
    return np.linalg.solve(gram, x.T @ y / len(x)).astype(np.float32)


def r_squared(inputs: np.ndarray, outputs: np.ndarray, weights: np.ndarray) -> float:
    """1 - residual / total sum of squares of `inputs @ weights` as a prediction of `outputs`."""
    residual = np.square(outputs - inputs @ weights).sum()
    return float(1 - residual / np.square(outputs - outputs.mean(axis=0)).sum())


def _read(entry: Path, name: str) -> np.ndarray:
    return np.load(entry / f"{name}.npy", mmap_mode="r")


def _write_clip(directory: Path, data: PackedData, clip: FrozenClip, device: torch.device) -> None:
    stored = {}
    for name in SPLITS:
        split: Split = getattr(data, name)
        if split.stored is not None:
            with torch.no_grad():
                encoded = clip.encode_image(to_images(split.images[checked(len(split))], device)).cpu().numpy()
            stored[name] = matching_features(split, name, clip, encoded)
    given = {name: features.image for name, features in stored.items() if features is not None}
    _write_images(directory, data, clip.encode_image, "CLIP", device, given)
    for name in SPLITS:
        features = stored.get(name)
        if features is not None and features.text is not None:
            np.save(directory / f"{name}_text.npy", features.text)
            continue
        captions = [text for texts in getattr(data, name).captions for text in texts]
        chunks = range(0, len(captions), CHUNK)
        rows = [
            clip.encode_text(captions[start : start + CHUNK]).cpu().numpy()
            for start in track(chunks, f"CLIP features of {name} captions", len(chunks))
        ]
        np.save(directory / f"{name}_text.npy", np.concatenate([np.empty((0, clip.dim), dtype=np.float32), *rows]))


def _write_images(
    directory: Path,
    data: PackedData,
    encode: Callable[[Tensor], Tensor],
    encoder: str,
    device: torch.device,
    given: Mapping[str, np.ndarray | None],
) -> None:
    """Encode both flips of every image, but take those in `given` (split -> [N, C], unmirrored) as they are."""
    for name in SPLITS:
        split: Split = getattr(data, name)
        stored = given.get(name)
        features: list[list[np.ndarray]] = [[] for _ in range(1 + data.x_flip)]
        chunks = range(0, len(split), CHUNK)
        for start in track(chunks, f"{encoder} features of {name} images", len(chunks)):
            images = to_images(split.images[start : start + CHUNK], device)
            for flip, rows in enumerate(features):
                if stored is not None and not flip:
                    rows.append(stored[start : start + CHUNK])
                    continue
                with torch.no_grad():
                    rows.append(encode(images.flip(3) if flip else images).cpu().numpy())
        np.save(directory / f"{name}_image.npy", np.stack([np.concatenate(rows) for rows in features]))


def _write_ridge(
    directory: Path, train: SplitFeatures, heldout: SplitFeatures, strength: float, pseudo_text: float | None
) -> None:
    weights = ridge_regression(*_text_and_resnet(train, pseudo_text), strength)
    np.save(directory / "weights.npy", weights)
    np.save(directory / "r2.npy", r_squared(*_text_and_resnet(heldout, pseudo_text), weights))


def _text_and_resnet(split: SplitFeatures, pseudo_text: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Each caption, or a pseudo text of each image, in CLIP beside the unmirrored image in the ResNet."""
    assert split.resnet_image is not None
    if pseudo_text is not None:
        images = torch.from_numpy(split.clip_image[0].copy())
        return perturb(images, pseudo_text, normals(stream(0, "pseudo text of the ridge"))).numpy(), split.resnet_image[
            0
        ]
    counts = np.diff(split.caption_start)
    return split.clip_text, split.resnet_image[0].repeat(counts, axis=0)
