"""A training step as parts, and how often each comes: what a step costs is their sum."""

from collections.abc import Mapping, Sequence
from typing import Literal

from clipgan.config import ModelConfig
from clipgan.models.losses.structure import Term

# A pass of a network over a batch. "to image": the backward pass that leaves the weights alone. "R1": D twice
# differentiated, a batch of real images. "path length": G twice differentiated, half a batch.
Part = Literal[
    "G forward", "G backward", "D forward", "D backward", "D to image", "R1", "path length",
    "CLIP forward", "CLIP to image", "ResNet forward", "ResNet to image",
]  # fmt: skip
ENCODERS: tuple[Literal["CLIP", "ResNet"], ...] = ("CLIP", "ResNet")


def parts_of_step(terms: Sequence[Term], features: str, model: ModelConfig) -> dict[Part, float]:
    """How often a step has each part, the mean over the period of the lazy regularisers.

    Args:
        terms: those with a weight, of both networks' losses.
        features: preprocessed or online.
        model: for the intervals of the regularisers.
    """
    counts: dict[Part, float] = {
        "G forward": 2,  # D's step generates too, without gradient
        "G backward": 1,
        "D forward": 3,  # D's step: generated, real; G's step: generated
        "D backward": 2,
        "D to image": 1,
        "R1": 1 / model.r1_interval if model.r1_gamma else 0,
        "path length": 1 / model.pl_interval if model.pl_weight else 0,
    }
    online = spaces_online(terms) if features == "online" else set()
    for space in ENCODERS:
        guides = any(term.phase == "G" and term.space == space for term in terms)
        forward: Part = "CLIP forward" if space == "CLIP" else "ResNet forward"
        backward: Part = "CLIP to image" if space == "CLIP" else "ResNet to image"
        counts[forward] = guides + (space in online)
        counts[backward] = int(guides)
    return counts


def spaces_online(terms: Sequence[Term]) -> set[str]:
    """The encoders that see the real images if their features are not stored; D learns CLIP's."""
    return {
        "CLIP" if term.phase == "D" else term.space
        for term in terms
        if term.pair == "ii" and (term.phase == "D" or term.space in ENCODERS)
    }


def total(counts: Mapping[Part, float], costs: Mapping[Part, float]) -> float:
    """The sum of the parts' costs; a part that does not come needs none."""
    return sum(count * costs[part] for part, count in counts.items() if count)
