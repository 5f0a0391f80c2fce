"""Pair selection: from the CLIP similarities of a batch to positives, excluded negatives and weights of anchors.

One mechanism serves every contrast: it takes a `Selection`, and each strategy is a function that makes one.
The strategies are those of "On the Generalization of Multi-modal Contrastive Learning" (ICML 2023), and the
pseudo-classes of Weakly Supervised Contrastive Learning (arXiv:2110.04770).

Shapes: N anchors, M >= N candidates; candidate i is anchor i's own target. In SimCLR the 2 B views of B images are
anchors and candidates, in two halves: candidate i is the other view of anchor i's image, and one candidate is the
anchor itself.
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


class Candidates(NamedTuple):
    """What a strategy chooses among."""

    similarity: Tensor  # [N, M], CLIP's cosine between sample i and candidate j; the diagonal is never read
    fit: Tensor  # [N], CLIP's cosine of anchor i and its own target; [N / 2] where both views of an image have one
    itself: Tensor | None = None  # bool [N, M], where the candidate is the anchor itself; None: nowhere

    @property
    def negatives(self) -> int:
        """Of an anchor."""
        return self.similarity.shape[1] - (1 if self.itself is None else 2)

    @property
    def samples(self) -> int:
        """How many there are: anchor and candidate i are sample i, and of two views sample i mod B."""
        return self.similarity.shape[1] // (1 if self.itself is None else 2)


def select(config: PairsConfig, similarity: Tensor, fit: Tensor) -> Selections:
    """Choose the pairs of a batch.

    Args:
        config: the strategy and its numbers.
        similarity: [N, M], CLIP's cosine between sample i and candidate j; the diagonal is never read.
        fit: [N], CLIP's cosine between image i and its caption.
    """
    strategy = STRATEGIES[config.name]
    homologous = strategy(config, Candidates(similarity, fit))
    within = homologous
    if similarity.shape[1] > len(similarity):
        within = strategy(config, Candidates(similarity[:, : len(similarity)], fit))
    return Selections(homologous, _transposed(within), within)


def _transposed(selection: Selection) -> Selection:
    positives, excluded, weights = selection
    positives, excluded = (None if part is None else part.T.contiguous() for part in (positives, excluded))
    return Selection(positives, excluded, weights)


def select_images(config: PairsConfig, similarity: Tensor) -> Selection:
    """Choose the pairs among the views of a batch by what CLIP says of the images, as they are without augmentation.

    A chosen image stands for both of its views, which share its weight.

    Args:
        config: any strategy but drop_false_positive: two views of one image have nothing to tell them apart here.
        similarity: [B, B], CLIP's cosine between images.

    Returns:
        The selection of NT-Xent, [2 B, 2 B].
    """
    chosen = STRATEGIES[config.name](config, Candidates(similarity, similarity.diagonal()))
    positives, excluded, weights = chosen
    assert weights is None
    if positives is not None:
        own = positives.diagonal()
        others = (positives - own.diag()) / 2
        positives = others.repeat(2, 2) + own.repeat(2).diag()
    itself = anchors_themselves(2 * len(similarity), similarity.device)
    return Selection(positives, itself if excluded is None else excluded.repeat(2, 2) | itself)


def select_views(config: PairsConfig, features: Tensor) -> Selection:
    """Choose the pairs among the views of a batch by what CLIP says of the views.

    Args:
        config: the strategy and its numbers.
        features: CLIP's, [2 B, C], unit length; i and i + B are views of one image.

    Returns:
        The selection of NT-Xent, [2 B, 2 B].
    """
    count = len(features)
    similarity = features @ features.roll(count // 2, 0).T
    itself = anchors_themselves(count, features.device)
    chosen = STRATEGIES[config.name](config, Candidates(similarity, similarity.diagonal()[: count // 2], itself))
    return chosen._replace(excluded=itself if chosen.excluded is None else chosen.excluded | itself)


def anchors_themselves(count: int, device: torch.device | str = "cpu") -> Tensor:
    """Where, among `count` views of half as many images, the candidate is the anchor: bool [count, count]."""
    return torch.eye(count, dtype=torch.bool, device=device).roll(count // 2, 1)


def add_new_positive(config: PairsConfig, of: Candidates) -> Selection:
    """The k nearest other candidates are positives beside the own target, all with one weight."""
    neighbours = _nearest(of, config.k or 1)
    positives = torch.eye(*of.similarity.shape, device=neighbours.device).scatter(1, neighbours, 1)
    return Selection(positives=positives / positives.sum(dim=1, keepdim=True))


def drop_false_positive(config: PairsConfig, of: Candidates) -> Selection:
    """The fraction of samples that fit their targets least are no anchors; at least one stays."""
    fit = of.fit
    count = min(_share(config.fraction, len(fit)), len(fit) - 1)
    kept = torch.ones_like(fit).scatter(0, fit.topk(count, largest=False).indices, 0)
    kept = kept.repeat(len(of.similarity) // len(fit))
    return Selection(weights=kept / kept.sum())


def drop_false_negative(config: PairsConfig, of: Candidates) -> Selection:
    """The fraction of an anchor's negatives that is most like it leaves its denominator."""
    return _without(of, _nearest(of, _share(config.fraction, of.negatives)))


def drop_easy_negative(config: PairsConfig, of: Candidates) -> Selection:
    """The fraction of an anchor's negatives that is least like it leaves its denominator."""
    return _without(of, _nearest(of._replace(similarity=-of.similarity), _share(config.fraction, of.negatives)))


def weakly_supervised(config: PairsConfig, of: Candidates) -> Selection:
    """Connected components of the k-nearest-neighbour graph are classes; all members of a class are positives."""
    from scipy.sparse import coo_array  # 0.1 s of each start, were it above
    from scipy.sparse.csgraph import connected_components

    neighbours = _nearest(of, config.k or 1).cpu()
    (count, total), samples = of.similarity.shape, of.samples
    anchors = torch.arange(count).repeat_interleave(neighbours.shape[1]) % samples
    edges = (anchors.numpy(), (neighbours.flatten() % samples).numpy())
    graph = coo_array((torch.ones(len(anchors)).numpy(), edges), shape=(samples, samples))
    labels = torch.from_numpy(connected_components(graph, directed=False)[1]).to(of.similarity.device)
    labels = labels.repeat(total // samples)
    together = labels[:count, None] == labels
    if of.itself is not None:
        together &= ~of.itself
    positives = together.to(of.similarity.dtype)
    return Selection(positives=positives / positives.sum(dim=1, keepdim=True))


STRATEGIES: dict[str, Callable[[PairsConfig, Candidates], Selection]] = {
    "plain": lambda config, of: PLAIN,
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


def _nearest(of: Candidates, count: int) -> Tensor:
    """Indices of each anchor's `count` (or all) most similar negatives: [N, count]."""
    others = of.similarity.clone().fill_diagonal_(-math.inf)
    if of.itself is not None:
        others.masked_fill_(of.itself, -math.inf)
    return others.topk(min(count, of.negatives), dim=1).indices


def _without(of: Candidates, indices: Tensor) -> Selection:
    if indices.shape[1] == 0:
        return PLAIN
    excluded = torch.zeros(of.similarity.shape, dtype=torch.bool, device=of.similarity.device)
    return Selection(excluded=excluded.scatter(1, indices, True))
