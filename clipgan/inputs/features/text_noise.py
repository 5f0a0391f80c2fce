"""Noise on CLIP features: it makes a condition from a caption's features, and a pseudo text from an image's features.

Shapes: N rows, C width of CLIP's embedding.
"""

from torch import Tensor

from clipgan.base.randomness import Draw
from clipgan.base.vectors import unit


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
