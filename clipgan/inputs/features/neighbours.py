"""Nearest images in CLIP's space: their captions are pseudo texts for an image.

Shapes: N images, C width of CLIP's embedding, k neighbours.
"""

import numpy as np
import torch

from clipgan.base.errors import UserError
from clipgan.inputs.features.encoding import to_device
from clipgan.inputs.features.feature_cache import SplitFeatures

ROWS = 1024  # images whose similarities are in memory at a time


def nearest_captioned(features: SplitFeatures, count: int, device: torch.device) -> np.ndarray:
    """Find the captioned images with the most similar CLIP features, for each image; an image is not its own neighbour.

    Args:
        features: of a split, images not mirrored.
        count: k.
        device: computes the N x N similarities.

    Returns:
        int64 [N, k], the nearest first.

    Raises:
        UserError: fewer than k + 1 images have captions.
    """
    captioned = np.flatnonzero(np.diff(features.caption_start))
    if len(captioned) <= count:
        raise UserError(
            f"condition.neighbours={count} is too many: the data set has {len(captioned)} training images with captions"
        )
    images = to_device(np.ascontiguousarray(features.clip_image[0]), device)
    candidates = images[torch.from_numpy(captioned).to(device)].float()
    own = np.full(len(images), -1)  # an image's place among the candidates
    own[captioned] = np.arange(len(captioned))
    found = []
    for start in range(0, len(images), ROWS):
        similarity = images[start : start + ROWS].float() @ candidates.T
        place = torch.from_numpy(own[start : start + ROWS]).to(device)
        rows = torch.nonzero(place >= 0).squeeze(1)
        similarity[rows, place[rows]] = -torch.inf
        found.append(similarity.topk(count).indices.cpu().numpy())
    return captioned[np.concatenate(found)]
