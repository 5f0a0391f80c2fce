"""InfoNCE between the images of a batch and their targets, in both directions.

Shapes: N samples, d width of the space. The symbols are those of the README: a_i an image's embedding, b_i its target.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Contrast(NamedTuple):
    """The two directions of one contrast, scalars."""

    homologous: Tensor  # L(a -> b): the anchor is the image
    heterologous: Tensor  # L(b -> a): the anchor is the target


def unit(x: Tensor) -> Tensor:
    """Scale the rows of [N, d] to length 1."""
    return F.normalize(x, dim=1)


def info_nce(logits: Tensor) -> Tensor:
    """InfoNCE (arXiv:1807.03748): -1/N sum_i log softmax_j(logits)_ii.

    Args:
        logits: [N, N], anchors in rows, candidates in columns, the positive on the diagonal.

    Returns:
        A scalar >= 0.
    """
    return (torch.logsumexp(logits, dim=1) - logits.diagonal()).mean()


def contrast(images: Tensor, targets: Tensor, temperature: float, similarity: str = "cos") -> Contrast:
    """Both directions between unit-length embeddings, over one similarity matrix.

    L(a -> b) = -1/N sum_i log( exp(a_i.b_i / tau) / sum_j exp(a_i.b_j / tau) ), and L(b -> a) with a and b exchanged.

    Args:
        images: a, [N, d], unit length.
        targets: b, [N, d], unit length.
        temperature: tau > 0.
        similarity: `cos`: the logits are cos / tau; `exp_cos`: exp(cos / tau), as in LAFITE's published code, whose
            author calls it a mistake.
    """
    logits = images @ targets.T / temperature
    if similarity == "exp_cos":
        logits = logits.exp()
    return Contrast(homologous=info_nce(logits), heterologous=info_nce(logits.T))
