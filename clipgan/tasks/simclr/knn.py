"""Classify by k nearest neighbours (arXiv:1805.01978, section 3.4), without training a classifier.

Shapes: N training images, M held-out ones, Q width of the features, K classes.
"""

import torch
from torch import Tensor

from clipgan.base.device import tensorfloat
from clipgan.base.vectors import unit
from clipgan.config.simclr import KnnConfig

CHUNK = 512  # held-out images per comparison


@tensorfloat(False)  # see `linear_accuracy`
@torch.no_grad()
def knn_accuracy(
    config: KnnConfig, train: Tensor, labels: Tensor, heldout: Tensor, answers: Tensor, classes: int
) -> float:
    """Compute the share of held-out images whose class wins the vote of their nearest training images, by cosine.

    Args:
        config: the number of voters, and how much more a nearer one counts.
        train: float32 [N, Q].
        labels: int64 [N].
        heldout: float32 [M, Q].
        answers: int64 [M].
        classes: K.
    """
    known, right = unit(train), 0.0
    for rows, wanted in zip(unit(heldout).split(CHUNK), answers.split(CHUNK), strict=True):
        cosine, nearest = (rows @ known.T).topk(min(config.k, len(known)), dim=1)
        votes = torch.zeros(len(rows), classes, device=rows.device)
        votes.scatter_add_(1, labels[nearest], ((cosine - 1) / config.temperature).exp())
        right += (votes.argmax(dim=1) == wanted).float().sum().item()
    return right / len(heldout)
