"""Choose the prompts of an evaluation, and the real images for the comparison.

Shapes: N prompts, C width of the guiding CLIP's embedding.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clipgan.base.randomness import stream_seed
from clipgan.config import ConditionConfig, MetricsConfig
from clipgan.inputs.data.pack import Split
from clipgan.inputs.features.evaluation_conditions import prompts
from clipgan.inputs.features.feature_cache import SplitFeatures

SEED = 0  # seed of random captions and pseudo texts; fixed, so that runs with other seeds get the same prompts


@dataclass(frozen=True)
class Prompts:
    """The conditions for N generated images."""

    conditions: Tensor  # [N, C], unit length, on the CPU
    captions: list[str] | None  # the N texts; None in a set without captions

    def __len__(self) -> int:
        return len(self.conditions)


def evenly(available: int, count: int) -> np.ndarray:
    """Choose at most `count` indices of `available` items: all, or evenly spaced ones, as a folder may be sorted."""
    count = min(available, count)
    return np.arange(count) * available // count


def real_indices(split: Split, config: MetricsConfig) -> np.ndarray:
    """Choose the indices of the split's images for the comparison with generated images."""
    return evenly(len(split), len(split) if config.real == "all" else config.n_images)


def choose_prompts(split: Split, features: SplitFeatures, config: MetricsConfig, condition: ConditionConfig) -> Prompts:
    """Choose `config.n_images` prompts, the same for every seed of a run. They repeat if the split has fewer.

    Args:
        split: the split with the captions.
        features: the same split's features by the guiding CLIP.
        condition: settings for prompts of images without captions.
    """
    has_captions = len(features.clip_text) > 0
    starts = np.asarray(features.caption_start)
    if config.captions == "first" or not has_captions:
        conditions = prompts(features, condition, SEED)
        images = np.resize(evenly(len(split), config.n_images), config.n_images)
        if config.captions == "random":
            images = np.resize(_shuffled(len(split)), config.n_images)
        captions = [split.captions[image][0] for image in images] if has_captions else None
        return Prompts(conditions[images], captions)
    chosen = np.resize(_shuffled(len(features.clip_text)), config.n_images)
    images = np.searchsorted(starts, chosen, side="right") - 1
    captions = [split.captions[image][row - starts[image]] for image, row in zip(images, chosen, strict=True)]
    return Prompts(torch.from_numpy(features.clip_text[chosen].astype(np.float32)), captions)


def _shuffled(count: int) -> np.ndarray:
    """Shuffle all indices, so that none comes twice before each has come once."""
    return np.random.default_rng(stream_seed(SEED, "random captions")).permutation(count)
