"""The interpreter of loss structures, which are data (conf/loss/*.yaml).

    loss_G += sum over (s, pair) of S_s * C_pair * ( L(a -> b) + h * L(b -> a) )

loss_D has its own terms of the same form.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clipgan.config import Config
from clipgan.models.losses.contrastive import ALL_PLAIN, contrasts
from clipgan.models.losses.pairs import Selections

HETEROLOGOUS_SUFFIX = "_het"  # in place of the prime in docs/losses.md, since MLflow refuses an apostrophe


@dataclass(frozen=True)
class Term:
    """One pair in one space of one network's loss, with the weights of its two directions."""

    phase: str  # G or D: the network whose loss this is
    space: str  # D, CLIP or ResNet: the network that embeds the image
    pair: str  # it: image-text, ii: image-image
    homologous: float  # weight of L(a -> b)
    heterologous: float  # weight of L(b -> a)
    temperature: float
    similarity: str
    learned: bool = False  # whether the training learns the temperature, beginning with `temperature`

    @property
    def name(self) -> str:
        """The key of the homologous value in the logs, such as `G/CLIP/it`."""
        return f"{self.phase}/{self.space}/{self.pair}"

    def times(self, factor: float) -> "Term":
        """Return the same term with its weights times `factor`."""
        return replace(self, homologous=self.homologous * factor, heterologous=self.heterologous * factor)


def active_terms(config: Config) -> list[Term]:
    """List the terms whose weight is not zero.

    The weights are S_s * C_pair * 1 for the homologous direction and S_s * C_pair * h for the heterologous direction;
    `loss.homologous` and `loss.heterologous` are the factors 1 and h. With `heterologous=source` the factor depends on
    the network instead: it is 1 for D, which trains on real images, and h for G, and each term is the mean of both
    directions. A term's own S, C, h, directions and temperature override the common ones.
    """
    loss = config.loss
    terms = []
    for network, space, pair, own in loss.terms():
        phase = {"generator": "G", "discriminator": "D"}[network]
        weight = _first(own.S, getattr(config.S, space)) * _first(own.C, {"it": config.C_it, "ii": config.C_ii}[pair])
        plain = _first(own.homologous, loss.homologous)
        primed = _first(own.h, _first(own.heterologous, loss.heterologous))
        if config.heterologous == "direction":
            homologous, heterologous = weight * plain, weight * primed
        else:
            factor = plain if phase == "D" else primed
            homologous = heterologous = weight * factor / 2
        if homologous or heterologous:
            temperature = _first(own.temperature, getattr(loss.temperature, space))
            learned = loss.temperature.learned
            terms.append(Term(phase, space, pair, homologous, heterologous, temperature, loss.similarity, learned))
    return terms


def _first(own: float | None, common: float) -> float:
    return common if own is None else own


def structure_loss(
    terms: Sequence[Term],
    images: Mapping[str, Tensor],
    targets: Callable[[str, str], Tensor],
    selections: Selections = ALL_PLAIN,
) -> tuple[Tensor | float, dict[str, Tensor]]:
    """Compute the weighted sum of `terms`, and the unweighted value of each direction with a weight > 0.

    Args:
        terms: the terms of one phase.
        images: space -> the embeddings a, [N, d_space], unit length; of length 1 / tau for terms that learn tau.
        targets: (space, pair) -> the embeddings b, [N + K, d_space], unit length, without gradient.
        selections: the positives, excluded pairs and weights, the same for all terms.

    Returns:
        The scalar to add to the network's loss (0.0 without terms), and `name -> value`, `name_het -> value`, detached.
    """
    total: Tensor | float = 0.0
    values: dict[str, Tensor] = {}
    for group, own_targets in _alike(terms, targets):
        own_images = [images[term.space] for term in group]
        chosen = selections
        if len(own_targets[0]) == len(own_images[0]):  # no further targets: no cache has f_D(x)
            chosen = selections._replace(homologous=selections.without_further)
        directions = (group[0].homologous > 0, group[0].heterologous > 0)
        temperatures = [1.0 if term.learned else term.temperature for term in group]
        losses = contrasts(own_images, own_targets, temperatures, group[0].similarity, chosen, directions)
        weights = [(term.homologous, term.heterologous) for term in group]
        rows = [place for place, computed in enumerate(directions) if computed]
        factors = constant(tuple(weight[place] for place in rows for weight in weights), losses.device, losses.dtype)
        total = total + torch.dot(losses.flatten(), factors)
        names = [term.name + ("", HETEROLOGOUS_SUFFIX)[place] for place in rows for term in group]
        values |= zip(names, losses.detach().flatten().unbind(), strict=True)
    order = [term.name + suffix for term in terms for suffix in ("", HETEROLOGOUS_SUFFIX)]
    return total, {name: values[name] for name in order if name in values}


def _alike(terms: Sequence[Term], targets: Callable[[str, str], Tensor]) -> Iterable[tuple[list[Term], list[Tensor]]]:
    """Group the terms that can be computed at once, each with its targets: the same N, K, similarity and directions."""
    groups: dict[tuple[int, str, bool, bool], tuple[list[Term], list[Tensor]]] = {}
    for term in terms:
        own = targets(term.space, term.pair)
        key = (len(own), term.similarity, term.homologous > 0, term.heterologous > 0)
        members, their_targets = groups.setdefault(key, ([], []))
        members.append(term)
        their_targets.append(own)
    return groups.values()


@functools.lru_cache(maxsize=64)
def constant(numbers: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the numbers as a tensor; the same tensor for the same numbers, which must not be changed."""
    return torch.tensor(numbers, device=device, dtype=dtype)


def weighted_sum(terms: Sequence[Term], values: Mapping[str, Tensor]) -> Tensor | float:
    """Recompute the sum of `structure_loss` from the unweighted values, for the logs."""
    weights = {
        name: weight
        for term in terms
        for name, weight in ((term.name, term.homologous), (term.name + HETEROLOGOUS_SUFFIX, term.heterologous))
        if weight
    }
    if not weights:
        return 0.0
    found = torch.stack([values[name] for name in weights])
    return torch.dot(found, constant(tuple(weights.values()), found.device, found.dtype))
