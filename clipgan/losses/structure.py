"""A loss structure is data (conf/loss/*.yaml); this is its interpreter.

    loss_G += sum over (s, pair) of S_s * C_pair * ( L(a -> b) + h * L(b -> a) )

and loss_D likewise with its own terms.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from clipgan.config import PAIRS, SPACES, Config
from clipgan.losses.contrastive import Contrast, contrast

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


def active_terms(config: Config) -> list[Term]:
    """The terms whose weight is not zero.

    w = S_s * C_pair * 1 for the homologous direction and S_s * C_pair * h for the heterologous one
    (`loss.homologous` and `loss.heterologous` hold the two factors). With `heterologous=source` the factor belongs to
    the term instead (1 where D trains on real images, h where G trains), and each term is the mean of both directions.
    """
    loss = config.loss
    terms = []
    for phase, structure in (("G", loss.generator), ("D", loss.discriminator)):
        for space in SPACES:
            for pair in PAIRS:
                if pair not in structure.get(space, []):
                    continue
                weight = getattr(config.S, space) * {"it": config.C_it, "ii": config.C_ii}[pair]
                if config.heterologous == "direction":
                    homologous, heterologous = weight * loss.homologous, weight * loss.heterologous
                else:
                    factor = loss.homologous if phase == "D" else loss.heterologous
                    homologous = heterologous = weight * factor / 2
                if homologous or heterologous:
                    temperature = getattr(loss.temperature, space)
                    terms.append(Term(phase, space, pair, homologous, heterologous, temperature, loss.similarity))
    return terms


def structure_loss(
    terms: Sequence[Term],
    images: Callable[[str], Tensor],
    targets: Callable[[str, str], Tensor],
) -> tuple[Tensor | float, dict[str, Tensor]]:
    """The weighted sum of `terms` and the unweighted value of each direction.

    Args:
        terms: those of one phase.
        images: space -> the embeddings a, [N, d_space], unit length; called once for each space that has a term.
        targets: (space, pair) -> the embeddings b, [N, d_space], unit length, without gradient.

    Returns:
        The scalar to add to the network's loss (0.0 without terms), and `name -> value`, `name_het -> value`, detached.
    """
    total: Tensor | float = 0.0
    values: dict[str, Tensor] = {}
    embedded = {space: images(space) for space in dict.fromkeys(term.space for term in terms)}
    for term in terms:
        value: Contrast = contrast(
            embedded[term.space], targets(term.space, term.pair), term.temperature, term.similarity
        )
        total = total + term.homologous * value.homologous + term.heterologous * value.heterologous
        values[term.name] = value.homologous.detach()
        values[term.name + HETEROLOGOUS_SUFFIX] = value.heterologous.detach()
    return total, values
