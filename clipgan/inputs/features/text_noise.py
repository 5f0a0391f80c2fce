"""Noise on CLIP features, which makes conditions from captions' features and pseudo texts from images' features.

Shapes: N rows, C width of CLIP's embedding.
"""

from torch import Tensor

from clipgan.base.randomness import Draw
from clipgan.base.vectors import unit


def perturb(features: Tensor, level: Tensor | float, draw: Draw) -> Tensor:
    """Perturb features as LAFITE does (arXiv:2111.13792, eq. 3): f + level |f| n / |n| at unit length, n ~ N(0, I).

    LAFITE's public code mixes (1 - a) f + a n / |n| instead, which is the same at the level a / (1 - a).

    Args:
        features: f [N, C], unit length: u of captions gives conditions, v of images gives pseudo texts.
        level: length of the noise relative to the features, >= 0; [N, 1] or one number for all rows.
        draw: draws n.
    """
    return unit(features + level * unit(draw(features.shape)))
