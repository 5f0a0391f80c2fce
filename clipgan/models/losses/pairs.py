"""Pair selection: CLIP's similarities in a batch decide positives, excluded negatives and weights of anchors.

Every contrast takes a `Selection`, and each strategy is a function that makes one. The strategies come from "On the
Generalization of Multi-modal Contrastive Learning" (ICML 2023); the pseudo-classes come from Weakly Supervised
Contrastive Learning (arXiv:2110.04770).

Shapes: N anchors, M >= N candidates; candidate i is the target of anchor i. In SimCLR, the V B views of B images are
both anchors and candidates. View i is of image i mod B, and candidate i is view i - B (counted in a circle). So
candidate i is another view of anchor i's image, and one of the candidates is the anchor itself.
"""

import math
from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from clipgan.config import PairsConfig


class Selection(NamedTuple):
    """The positives, excluded pairs and weights of an InfoNCE; None: as in plain InfoNCE."""

    positives: Tensor | None = None  # float [N, M], rows sum to 1; None: the diagonal
    excluded: Tensor | None = None  # bool [N, M], True: left out of the denominator; None: nothing is left out
    weights: Tensor | None = None  # float [N], the anchors' weights in the mean, sum 1; None: 1 / N each


PLAIN = Selection()


class Selections(NamedTuple):
    """The selections of a contrast, in the layout of the logits: images in rows, targets in columns."""

    homologous: Selection = PLAIN  # [N, M], anchors in rows
    heterologous: Selection = PLAIN  # [N, N], anchors in columns
    without_further: Selection = PLAIN  # [N, N], homologous, for terms without the K further targets


class Candidates(NamedTuple):
    """The anchors and candidates that a strategy chooses among."""

    similarity: Tensor  # [N, M], CLIP's cosine between sample i and candidate j; the diagonal is never read
    fit: Tensor  # [N], CLIP's cosine of anchor i and its target; [B] if the views of an image share it
    views: int = 1  # V, if anchors and candidates are the views of B images; 1: they are samples and their targets

    @property
    def negatives(self) -> int:
        """The number of negatives of an anchor."""
        return self.similarity.shape[1] - self.views

    @property
    def samples(self) -> int:
        """The number of samples: anchor and candidate i are sample i, in SimCLR sample i mod B."""
        return self.similarity.shape[1] // self.views

    def targets(self) -> Tensor:
        """Mark an anchor's targets: [N, M], 1 for the diagonal, in SimCLR for all other views of the anchor's image."""
        like = self.similarity
        if self.views == 1:
            return torch.eye(*like.shape, device=like.device)
        return other_views(self.samples, self.views, like.device).to(torch.get_default_dtype())


def select(config: PairsConfig, similarity: Tensor, fit: Tensor) -> Selections:
    """Choose the pairs of a batch of images and captions.

    Args:
        config: the strategy and its parameters.
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


def select_images(config: PairsConfig, similarity: Tensor, views: int = 2) -> Selection:
    """Choose the pairs among the views of a batch by CLIP's similarity of the images without augmentation.

    All views of a chosen image are chosen and share its weight.

    Args:
        config: any strategy but drop_false_positive, which needs a similarity between the views of an image.
        similarity: [B, B], CLIP's cosine between images.
        views: V.

    Returns:
        The selection for NT-Xent, [V B, V B].
    """
    chosen = STRATEGIES[config.name](config, Candidates(similarity, similarity.diagonal()))
    positives, excluded, weights = chosen
    assert weights is None
    if positives is not None:
        own = positives.diagonal()
        others = ((positives - own.diag()) / views).repeat(views, views)
        among_own = other_views(len(similarity), views, similarity.device) / (views - 1)
        positives = others + own.repeat(views)[:, None] * among_own
    if excluded is not None:
        excluded = excluded.repeat(views, views)
    return _of_views(Selection(positives, excluded), len(similarity), views, similarity.device)


def select_views(config: PairsConfig, features: Tensor, views: int = 2) -> Selection:
    """Choose the pairs among the views of a batch by CLIP's similarity of the augmented views.

    Args:
        config: the strategy and its parameters.
        features: CLIP's features of the views, [V B, C], unit length; i, i + B, ... are views of one image.
        views: V.

    Returns:
        The selection for NT-Xent, [V B, V B].
    """
    images = len(features) // views
    similarity = features @ features.roll(images, 0).T
    within = similarity.view(views, images, views, images).diagonal(dim1=1, dim2=3)  # [V, V, B]: view, candidate, image
    pairs = [within[one, (other + 1) % views] for one, other in combinations(range(views), 2)]
    fit = torch.stack(pairs).mean(dim=0)
    chosen = STRATEGIES[config.name](config, Candidates(similarity, fit, views))
    return _of_views(chosen, images, views, features.device)


def plain_views(images: int, views: int, device: torch.device | str = "cpu") -> Selection:
    """Return the plain pairs of the V views of B images, [V B, V B]: every other view of an image is a positive."""
    return _of_views(PLAIN, images, views, device)


def _of_views(chosen: Selection, images: int, views: int, device: torch.device | str) -> Selection:
    """Complete a choice among views: no anchor is its own candidate, and all targets of an anchor are positives."""
    is_anchor = anchor_mask(images, views, device)
    positives = chosen.positives
    if positives is None and views > 2:
        positives = other_views(images, views, device) / (views - 1)
    return chosen._replace(
        positives=positives, excluded=is_anchor if chosen.excluded is None else chosen.excluded | is_anchor
    )


def anchor_mask(images: int, views: int, device: torch.device | str = "cpu") -> Tensor:
    """Mark where a candidate is the anchor itself, among the views of B images: bool [V B, V B]."""
    return torch.eye(images * views, dtype=torch.bool, device=device).roll(images, 1)


def own_views(images: int, views: int, device: torch.device | str = "cpu") -> Tensor:
    """Mark where a candidate is a view of the anchor's image, the anchor included: bool [V B, V B]."""
    return torch.eye(images, dtype=torch.bool, device=device).repeat(views, views)


def other_views(images: int, views: int, device: torch.device | str = "cpu") -> Tensor:
    """Mark where a candidate is another view of the anchor's image: bool [V B, V B]."""
    return own_views(images, views, device) & ~anchor_mask(images, views, device)


def add_new_positive(config: PairsConfig, candidates: Candidates) -> Selection:
    """Add an anchor's k nearest negatives to its positives; all positives have the same weight."""
    positives = candidates.targets().scatter(1, _nearest(candidates, config.k or 1), 1)
    return Selection(positives=positives / positives.sum(dim=1, keepdim=True))


def drop_false_positive(config: PairsConfig, candidates: Candidates) -> Selection:
    """Drop the fraction of anchors that fit their targets least; keep at least one anchor.

    In SimCLR, it drops images with all their views. An image's fit is the mean cosine of its pairs of views.
    """
    fit = candidates.fit
    count = min(config.dropped(len(fit)), len(fit) - 1)
    kept = torch.ones_like(fit).scatter(0, fit.topk(count, largest=False).indices, 0)
    kept = kept.repeat(len(candidates.similarity) // len(fit))
    return Selection(weights=kept / kept.sum())


def drop_false_negative(config: PairsConfig, candidates: Candidates) -> Selection:
    """Exclude the fraction of an anchor's negatives that are most similar to it."""
    return _without(candidates, _nearest(candidates, config.dropped(candidates.negatives)))


def drop_easy_negative(config: PairsConfig, candidates: Candidates) -> Selection:
    """Exclude the fraction of an anchor's negatives that are least similar to it."""
    farthest = candidates._replace(similarity=-candidates.similarity)
    return _without(candidates, _nearest(farthest, config.dropped(candidates.negatives)))


def weakly_supervised(config: PairsConfig, candidates: Candidates) -> Selection:
    """Make an anchor's whole class positive; classes are connected components of the k-nearest-neighbour graph."""
    neighbours, samples = _nearest(candidates, config.k or 1), candidates.samples
    (count, total), device = candidates.similarity.shape, neighbours.device
    anchors = torch.arange(count, device=device)[:, None] % samples
    edges = (anchors * samples + neighbours % samples).flatten()
    linked = torch.zeros(samples * samples, device=device).index_fill(0, edges, 1).view(samples, samples)
    same_class = one_component(linked).repeat(total // samples, total // samples)[:count]
    if candidates.views > 1:
        same_class &= ~anchor_mask(samples, candidates.views, device)
    positives = same_class.to(candidates.similarity.dtype)
    return Selection(positives=positives / positives.sum(dim=1, keepdim=True))


STRATEGIES: dict[str, Callable[[PairsConfig, Candidates], Selection]] = {
    "plain": lambda config, candidates: PLAIN,
    "add_new_positive": add_new_positive,
    "drop_false_positive": drop_false_positive,
    "drop_false_negative": drop_false_negative,
    "drop_easy_negative": drop_easy_negative,
    "weakly_supervised": weakly_supervised,
}


def one_component(linked: Tensor) -> Tensor:
    """Tell which nodes of a graph are connected, on its device and without waiting for it.

    Args:
        linked: float [S, S], 1: an edge between two nodes, in either direction.

    Returns:
        bool [S, S], True: both nodes are in one component.
    """
    reached = linked + linked.T + torch.eye(len(linked), device=linked.device)
    for _ in range((len(linked) - 1).bit_length()):  # each time, the paths get twice as long
        reached = (reached @ reached > 0).to(linked.dtype)  # exact: a sum of positive numbers never rounds to 0
    return reached > 0


def _nearest(candidates: Candidates, count: int) -> Tensor:
    """Return the indices of each anchor's `count` (or all) most similar negatives: [N, count]."""
    others = candidates.similarity.clone().fill_diagonal_(-math.inf)
    if candidates.views > 1:
        others.masked_fill_(own_views(candidates.samples, candidates.views, others.device), -math.inf)
    return others.topk(min(count, candidates.negatives), dim=1).indices


def _without(candidates: Candidates, indices: Tensor) -> Selection:
    if indices.shape[1] == 0:
        return PLAIN
    excluded = torch.zeros_like(candidates.similarity, dtype=torch.bool)
    return Selection(excluded=excluded.scatter(1, indices, True))
