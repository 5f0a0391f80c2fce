"""What stands for the text of an image: its caption, or for language-free training its own features with noise.

Shapes: N rows, C width of CLIP's embedding.
"""

import torch
from torch import Tensor

from clipgan.config import ConditionConfig
from clipgan.features import SplitFeatures
from clipgan.losses.contrastive import unit
from clipgan.randomness import Draw, normals, stream


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


def prompts(features: SplitFeatures, config: ConditionConfig, seed: int) -> Tensor:
    """The conditions that evaluate a generator, one for each image of a split: [N, C], unit length, on the CPU.

    An image's first caption; its pseudo text in a set that has no captions.
    """
    if len(features.clip_text):
        return torch.from_numpy(features.clip_text[features.caption_start[:-1]])
    images = torch.from_numpy(features.clip_image[0].copy())  # the cache is read-only
    return perturb(images, config.image_noise, normals(stream(seed, "pseudo text of prompts")))
