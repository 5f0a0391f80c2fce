"""The conditions for evaluating a generator: captions, or pseudo texts in a data set without captions.

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
    """Return one condition for each image of a split: float32 [N, C], unit length, on the CPU.

    The condition is the image's first caption, or its pseudo text in a data set without captions.
    """
    if len(features.clip_text):
        return torch.from_numpy(features.clip_text[features.caption_start[:-1]].astype(np.float32))
    images = torch.from_numpy(features.clip_image[0].astype(np.float32))
    return perturb(images, config.length(config.image_noise), normals(stream(seed, "pseudo text of prompts")))
