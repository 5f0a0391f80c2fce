"""InfoNCE between the images of a batch and their targets, in both directions.

Shapes: N samples, K further targets, d width of the space. The symbols are those of the README: a_i an image's
embedding, b_i its target.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from clipgan.losses.pairs import PLAIN, Selection, Selections

ALL_PLAIN = Selections()


class Contrast(NamedTuple):
    """The two directions of one contrast, scalars; None where it was not asked for."""

    homologous: Tensor | None  # L(a -> b): the anchor is the image
    heterologous: Tensor | None  # L(b -> a): the anchor is the target


def unit(x: Tensor) -> Tensor:
    """Scale the rows of [N, d] to length 1."""
    return F.normalize(x, dim=1)


def info_nce(logits: Tensor, selection: Selection = PLAIN) -> Tensor:
    """InfoNCE (arXiv:1807.03748): sum_i w_i ( log sum_{j not excluded} exp l_ij - sum_j p_ij l_ij ).

    Plain, w_i = 1/N, nothing is excluded, and p picks the diagonal: -1/N sum_i log softmax_j(logits)_ii. Several
    positives are averaged as in SupCon's L_out (arXiv:2004.11362), each over the whole denominator.

    Args:
        logits: [N, M], anchors in rows, candidates in columns, anchor i's own target in column i.
        selection: positives, excluded candidates and weights of the anchors.

    Returns:
        A scalar; >= 0 where no positive is excluded, as `select` sees to.
    """
    positives, excluded, weights = selection
    denominator = logits if excluded is None else logits.masked_fill(excluded, -math.inf)
    own = logits.diagonal() if positives is None else torch.einsum("nm,nm->n", positives, logits)
    losses = torch.logsumexp(denominator, dim=1) - own
    return losses.mean() if weights is None else losses @ weights


def contrast(
    images: Tensor,
    targets: Tensor,
    temperature: float,
    similarity: str = "cos",
    selections: Selections = ALL_PLAIN,
    directions: tuple[bool, bool] = (True, True),
) -> Contrast:
    """Both directions between unit-length embeddings, over one similarity matrix.

    L(a -> b) = -1/N sum_i log( exp(a_i.b_i / tau) / sum_j exp(a_i.b_j / tau) ), and L(b -> a) with a and b exchanged.

    Args:
        images: a, [N, d], unit length.
        targets: b, [N + K, d], unit length; the last K are candidates of L(a -> b) only.
        temperature: tau > 0.
        similarity: `cos`: the logits are cos / tau; `exp_cos`: exp(cos / tau), as in LAFITE's published code, whose
            author calls it a mistake.
        selections: the pairs that count, for [N, N + K] and [N, N].
        directions: which of the two to compute.
    """
    logits = images @ (targets / temperature).T  # the smaller operand is scaled
    if similarity == "exp_cos":
        logits = logits.exp()
    forth, back = directions
    return Contrast(
        homologous=info_nce(logits, selections.homologous) if forth else None,
        heterologous=info_nce(logits[:, : len(images)].T, selections.heterologous) if back else None,
    )
