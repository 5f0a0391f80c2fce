"""Choose the prompts of an evaluation, and the real images for the comparison.

Shapes: N prompts, C width of the guiding CLIP's embedding.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from clipgan.base.errors import UserError
from clipgan.base.randomness import stream_seed
from clipgan.base.text import counted
from clipgan.config import ConditionConfig, MetricsConfig
from clipgan.inputs.data.caption_list import read_caption_list
from clipgan.inputs.data.pack import Split
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.features.evaluation_conditions import prompts
from clipgan.inputs.features.feature_cache import SplitFeatures

SEED = 0  # seed of random captions and pseudo texts; fixed, so that runs with other seeds get the same prompts


@dataclass(frozen=True)
class Prompts:
    """The conditions for N generated images."""

    conditions: Tensor  # [N, C], unit length, on the CPU
    captions: list[str] | None  # the N texts; None in a set without captions, or without their words

    def __len__(self) -> int:
        return len(self.conditions)


def evenly(available: int, count: int) -> np.ndarray:
    """Choose at most `count` indices of `available` items: all, or evenly spaced ones, as a folder may be sorted."""
    count = min(available, count)
    return np.arange(count) * available // count


def real_indices(split: Split, config: MetricsConfig) -> np.ndarray:
    """Choose the indices of the split's images for the comparison with generated images."""
    return evenly(len(split), len(split) if config.real == "all" else config.n_images)


def possible_captions(split: Split, config: MetricsConfig) -> Iterator[str]:
    """Yield the captions that the protocol's prompts may be, before features are known: a list's, or the split's."""
    if config.caption_list is not None:
        yield from read_caption_list("metrics.captions", config.caption_list)
    elif config.captions == "first":
        yield from (split.captions[image][0] for image in evenly(len(split), config.n_images))
    else:
        yield from chain.from_iterable(split.captions)


def choose_prompts(split: Split, features: SplitFeatures, config: MetricsConfig, condition: ConditionConfig) -> Prompts:
    """Choose `config.n_images` prompts, the same for every seed of a run. They repeat if the split has fewer.

    Args:
        split: the split with the captions.
        features: the same split's features by the guiding CLIP.
        condition: settings for prompts of images without captions.
    """
    has_captions = len(features.clip_text) > 0
    starts = np.asarray(features.caption_start)
    if config.captions == "one" and has_captions:
        return _one_of_each(split, features, starts, config.n_images)
    if config.captions == "first" or not has_captions:
        conditions = prompts(features, condition, SEED)
        images = np.resize(evenly(len(split), config.n_images), config.n_images)
        if config.captions != "first":
            images = np.resize(_shuffled(len(split)), config.n_images)
        captions = [split.captions[image][0] for image in images] if split.has_words else None
        return Prompts(conditions[images], captions)
    chosen = np.resize(_shuffled(len(features.clip_text)), config.n_images)
    images = np.searchsorted(starts, chosen, side="right") - 1
    return _of_rows(split, features, images, chosen)


def _one_of_each(split: Split, features: SplitFeatures, starts: np.ndarray, count: int) -> Prompts:
    """Choose a random caption of each of `count` random images; images repeat after all, with other captions."""
    images = np.resize(_shuffled(len(split)), count)
    random = np.random.default_rng(stream_seed(SEED, "one caption of each image"))
    return _of_rows(split, features, images, random.integers(starts[images], starts[images + 1]))


def _of_rows(split: Split, features: SplitFeatures, images: np.ndarray, rows: np.ndarray) -> Prompts:
    """Return the prompts of some captions: their `rows` among all captions, and their `images`."""
    starts = np.asarray(features.caption_start)
    conditions = torch.from_numpy(features.clip_text[rows].astype(np.float32))
    if not split.has_words:
        return Prompts(conditions, None)
    return Prompts(conditions, [split.captions[i][row - starts[i]] for i, row in zip(images, rows, strict=True)])


def listed_prompts(config: MetricsConfig, guide: FrozenClip, device: torch.device) -> Prompts:
    """Return the prompts of a list of captions, `metrics.captions=FILE`.

    Args:
        config: `n_images` must be the number of captions in the file.
        guide: the CLIP that encodes them.
        device: where it computes; its text tower then returns to where it was.

    Raises:
        UserError: the file cannot be read, or has another number of captions.
    """
    assert config.caption_list is not None
    captions = read_caption_list("metrics.captions", config.caption_list)
    if len(captions) != config.n_images:
        raise UserError(
            f"metrics.captions={config.caption_list} has {counted(len(captions), 'caption')}, and metrics.n_images="
            f"{config.n_images}: give metrics.n_images={len(captions)}"
        )
    before = guide.backbone.logit_scale.device
    guide.move_text_tower(device)
    conditions = guide.encode_text(captions).cpu()
    guide.move_text_tower(before)
    return Prompts(conditions, captions)


def _shuffled(count: int) -> np.ndarray:
    """Shuffle all indices, so that none comes twice before each has come once."""
    return np.random.default_rng(stream_seed(SEED, "random captions")).permutation(count)
