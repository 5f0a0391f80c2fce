"""What a generator is asked for when it is evaluated, and the real images that its answers are compared with.

Shapes: N prompts, C width of the guiding CLIP's embedding.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clipgan.base.randomness import stream_seed
from clipgan.config import ConditionConfig, MetricsConfig
from clipgan.inputs.data.pack import Split
from clipgan.inputs.features.conditions import prompts
from clipgan.inputs.features.feature_cache import SplitFeatures

SEED = 0  # of random captions and pseudo texts: runs that differ in their seed are asked the same


@dataclass(frozen=True)
class Prompts:
    """The conditions of N images to be generated."""

    conditions: Tensor  # [N, C], unit length, on the CPU
    captions: list[str] | None  # the N texts; None in a set without captions

    def __len__(self) -> int:
        return len(self.conditions)


def evenly(available: int, count: int) -> np.ndarray:
    """Indices of at most `count` of `available` items: all of them, or evenly spaced ones (a folder may be sorted)."""
    count = min(available, count)
    return np.arange(count) * available // count


def real_indices(split: Split, config: MetricsConfig) -> np.ndarray:
    """Which of the split's images are the real ones."""
    return evenly(len(split), len(split) if config.real == "all" else config.n_images)


def choose_prompts(split: Split, features: SplitFeatures, config: MetricsConfig, condition: ConditionConfig) -> Prompts:
    """`config.n_images` prompts, again from the first where the split has fewer; the same for runs of any seed.

    Args:
        split: whose captions they are.
        features: the guiding CLIP's of the same split.
        condition: what a prompt is where there are no captions.
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
    """All of them in a random order: each is taken once before any is taken twice."""
    return np.random.default_rng(stream_seed(SEED, "random captions")).permutation(count)
