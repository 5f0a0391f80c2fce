"""A loss structure is data (conf/loss/*.yaml); this is its interpreter.

    loss_G += sum over (s, pair) of S_s * C_pair * ( L(a -> b) + h * L(b -> a) )

and loss_D likewise with its own terms.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from clipgan.config import Config
from clipgan.models.losses.contrastive import ALL_PLAIN, contrast
from clipgan.models.losses.pairs import Selections

HETEROLOGOUS_SUFFIX = "_het"  # names the primed terms: MLflow refuses an apostrophe


@dataclass(frozen=True)
class Term:
    """One pair in one space of one network's loss, with the weights of its two directions."""

    phase: str  # G or D: whose loss
    space: str  # D, CLIP or ResNet: what embeds the image
    pair: str  # it: image-text, ii: image-image
    homologous: float  # weight of L(a -> b)
    heterologous: float  # weight of L(b -> a)
    temperature: float
    similarity: str

    @property
    def name(self) -> str:
        """`G/CLIP/it`: the key of its homologous value in the logs."""
        return f"{self.phase}/{self.space}/{self.pair}"

    def times(self, factor: float) -> "Term":
        """The same term with `factor` times its weights."""
        return replace(self, homologous=self.homologous * factor, heterologous=self.heterologous * factor)


def active_terms(config: Config) -> list[Term]:
    """The terms whose weight is not zero.

    w = S_s * C_pair * 1 for the homologous direction and S_s * C_pair * h for the heterologous one
    (`loss.homologous` and `loss.heterologous` hold the two factors). With `heterologous=source` the factor belongs to
    the term instead (1 where D trains on real images, h where G trains), and each term is the mean of both directions.
    A term's own S, C, h and temperature stand before the common ones.
    """
    loss = config.loss
    terms = []
    for network, space, pair, own in loss.terms():
        phase = {"generator": "G", "discriminator": "D"}[network]
        weight = _first(own.S, getattr(config.S, space)) * _first(own.C, {"it": config.C_it, "ii": config.C_ii}[pair])
        primed = _first(own.h, loss.heterologous)
        if config.heterologous == "direction":
            homologous, heterologous = weight * loss.homologous, weight * primed
        else:
            factor = loss.homologous if phase == "D" else primed
            homologous = heterologous = weight * factor / 2
        if homologous or heterologous:
            temperature = _first(own.temperature, getattr(loss.temperature, space))
            terms.append(Term(phase, space, pair, homologous, heterologous, temperature, loss.similarity))
    return terms


def _first(own: float | None, common: float) -> float:
    return common if own is None else own


def structure_loss(
    terms: Sequence[Term],
    images: Mapping[str, Tensor],
    targets: Callable[[str, str], Tensor],
    selections: Selections = ALL_PLAIN,
) -> tuple[Tensor | float, dict[str, Tensor]]:
    """The weighted sum of `terms` and the unweighted value of each direction that has a weight.

    Args:
        terms: those of one phase.
        images: space -> the embeddings a, [N, d_space], unit length.
        targets: (space, pair) -> the embeddings b, [N + K, d_space], unit length, without gradient.
        selections: the pairs that count, the same for all terms.

    Returns:
        The scalar to add to the network's loss (0.0 without terms), and `name -> value`, `name_het -> value`, detached.
    """
    total: Tensor | float = 0.0
    values: dict[str, Tensor] = {}
    for term in terms:
        found = targets(term.space, term.pair)
        chosen = selections
        if len(found) == len(images[term.space]):  # no further targets: f_D(x) is in no cache
            chosen = selections._replace(homologous=selections.without_further)
        directions = (term.homologous > 0, term.heterologous > 0)
        value = contrast(images[term.space], found, term.temperature, term.similarity, chosen, directions)
        for loss, weight, suffix in (
            (value.homologous, term.homologous, ""),
            (value.heterologous, term.heterologous, HETEROLOGOUS_SUFFIX),
        ):
            if loss is not None:
                total = total + weight * loss
                values[term.name + suffix] = loss.detach()
    return total, values


def weighted_sum(terms: Sequence[Term], values: Mapping[str, Tensor]) -> Tensor | float:
    """What `structure_loss` adds up, from its values: for the logs."""
    return sum(
        (
            weight * values[name]
            for term in terms
            for weight, name in ((term.homologous, term.name), (term.heterologous, term.name + HETEROLOGOUS_SUFFIX))
            if weight
        ),
        0.0,
    )
