"""What a generator is told when it is evaluated: captions, or pseudo texts in a set without captions.

Shapes: N rows, C width of CLIP's embedding.
"""

import numpy as np
import torch
from torch import Tensor

from clipgan.base.randomness import normals, stream
from clipgan.config import ConditionConfig
from clipgan.inputs.features.feature_cache import SplitFeatures
from clipgan.inputs.features.text_noise import perturb


def prompts(features: SplitFeatures, config: ConditionConfig, seed: int) -> Tensor:
    """The conditions that evaluate a generator, one for each image of a split: [N, C], unit length, on the CPU.

    An image's first caption; its pseudo text in a set that has no captions.
    """
    if len(features.clip_text):
        return torch.from_numpy(features.clip_text[features.caption_start[:-1]].astype(np.float32))
    images = torch.from_numpy(features.clip_image[0].astype(np.float32))
    return perturb(images, config.image_noise, normals(stream(seed, "pseudo text of prompts")))
