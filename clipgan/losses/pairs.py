"""Pair selection: from the CLIP similarities of a batch to positives, excluded negatives and weights of anchors.

One mechanism serves every contrast: it takes a `Selection`, and each strategy is a function that makes one.
The strategies are those of "On the Generalization of Multi-modal Contrastive Learning" (ICML 2023), and the
pseudo-classes of Weakly Supervised Contrastive Learning (arXiv:2110.04770).

Shapes: N anchors, M >= N candidates; candidate i is anchor i's own target.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from clipgan.config import PairsConfig


class Selection(NamedTuple):
    """What an InfoNCE counts; None: what the plain one counts."""

    positives: Tensor | None = None  # float [N, M], rows sum to 1; None: the diagonal
    excluded: Tensor | None = None  # bool [N, M], True: left out of the denominator; None: nothing
    weights: Tensor | None = None  # float [N], the anchors' shares of the mean, of sum 1; None: 1 / N each


PLAIN = Selection()


class Selections(NamedTuple):
    """The selections of a contrast, each laid out as its matrix of logits: images in rows, targets in columns."""

    homologous: Selection = PLAIN  # [N, M], anchors in rows
    heterologous: Selection = PLAIN  # [N, N], anchors in columns
    without_further: Selection = PLAIN  # [N, N], the homologous one of a term that has the batch's own targets only


def select(config: PairsConfig, similarity: Tensor, fit: Tensor) -> Selections:
    """Choose the pairs of a batch.

    Args:
        config: the strategy and its numbers.
        similarity: [N, M], CLIP's cosine between sample i and candidate j; the diagonal is never read.
        fit: [N], CLIP's cosine between image i and its caption.
    """
    strategy = STRATEGIES[config.name]
    homologous = strategy(config, similarity, fit)
    within = homologous
    if similarity.shape[1] > len(similarity):
        within = strategy(config, similarity[:, : len(similarity)], fit)
    return Selections(homologous, _transposed(within), within)


def _transposed(selection: Selection) -> Selection:
    positives, excluded, weights = selection
    positives, excluded = (None if part is None else part.T.contiguous() for part in (positives, excluded))
    return Selection(positives, excluded, weights)


def add_new_positive(config: PairsConfig, similarity: Tensor, fit: Tensor) -> Selection:
    """The k nearest other candidates are positives beside the own target, all with one weight."""
    neighbours = _nearest(similarity, config.k or 1)
    positives = torch.eye(*similarity.shape, device=similarity.device).scatter(1, neighbours, 1)
    return Selection(positives=positives / positives.sum(dim=1, keepdim=True))


def drop_false_positive(config: PairsConfig, similarity: Tensor, fit: Tensor) -> Selection:
    """The fraction of images that fit their captions least are no anchors; at least one stays."""
    count = min(_share(config.fraction, len(fit)), len(fit) - 1)
    kept = torch.ones_like(fit).scatter(0, fit.topk(count, largest=False).indices, 0)
    return Selection(weights=kept / kept.sum())


def drop_false_negative(config: PairsConfig, similarity: Tensor, fit: Tensor) -> Selection:
    """The fraction of an anchor's negatives that is most like it leaves its denominator."""
    return _without(similarity, _nearest(similarity, _share(config.fraction, similarity.shape[1] - 1)))


def drop_easy_negative(config: PairsConfig, similarity: Tensor, fit: Tensor) -> Selection:
    """The fraction of an anchor's negatives that is least like it leaves its denominator."""
    return _without(similarity, _nearest(-similarity, _share(config.fraction, similarity.shape[1] - 1)))


def weakly_supervised(config: PairsConfig, similarity: Tensor, fit: Tensor) -> Selection:
    """Connected components of the k-nearest-neighbour graph are classes; all members of a class are positives."""
    from scipy.sparse import coo_array  # 0.1 s of each start, were it above
    from scipy.sparse.csgraph import connected_components

    neighbours = _nearest(similarity, config.k or 1).cpu().numpy()
    count, total = similarity.shape
    anchors = torch.arange(count).repeat_interleave(neighbours.shape[1]).numpy()
    edges = coo_array((torch.ones(len(anchors)).numpy(), (anchors, neighbours.ravel())), shape=(total, total))
    labels = torch.from_numpy(connected_components(edges, directed=False)[1]).to(similarity.device)
    positives = (labels[:count, None] == labels).to(similarity.dtype)
    return Selection(positives=positives / positives.sum(dim=1, keepdim=True))


STRATEGIES: dict[str, Callable[[PairsConfig, Tensor, Tensor], Selection]] = {
    "plain": lambda config, similarity, fit: PLAIN,
    "add_new_positive": add_new_positive,
    "drop_false_positive": drop_false_positive,
    "drop_false_negative": drop_false_negative,
    "drop_easy_negative": drop_easy_negative,
    "weakly_supervised": weakly_supervised,
}


def _share(fraction: float | None, total: int) -> int:
    """A fraction of `total`, rounded half up: 5 % of the 15 negatives in a batch of 16 are one."""
    assert fraction is not None  # the configuration has seen to it
    return math.floor(fraction * total + 0.5)


def _nearest(similarity: Tensor, count: int) -> Tensor:
    """Indices of each anchor's `count` (or all) most similar candidates other than its own: [N, count]."""
    others = similarity.clone().fill_diagonal_(-math.inf)
    return others.topk(min(count, similarity.shape[1] - 1), dim=1).indices


def _without(similarity: Tensor, indices: Tensor) -> Selection:
    if indices.shape[1] == 0:
        return PLAIN
    excluded = torch.zeros(similarity.shape, dtype=torch.bool, device=similarity.device)
    return Selection(excluded=excluded.scatter(1, indices, True))
