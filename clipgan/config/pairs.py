"""`pairs`, `contrast`: what is contrasted with what."""

import math
from dataclasses import dataclass

from clipgan.config.checks import at_least, one_of, require

PAIR_SELECTIONS = ("plain", "add_new_positive", "drop_false_positive", "drop_false_negative", "drop_easy_negative",
                   "weakly_supervised")  # fmt: skip


@dataclass
class PairsConfig:
    """Pair selection: which candidates are positives, and which negatives count, by the cached CLIP similarities."""

    name: str = "plain"  # name of the selection
    fraction: float | None = None  # share dropped: of the batch (drop_false_positive) | of an anchor's negatives
    k: int | None = None  # nearest neighbours: new positives (add_new_positive) | edges (weakly_supervised)
    similarity: str = "image"  # samples i and j are compared by: image (v_i . v_j) | text (u_i . u_j)

    def __post_init__(self) -> None:
        one_of("pairs.name", self.name, PAIR_SELECTIONS)
        one_of("pairs.similarity", self.similarity, ("image", "text"))
        neighbours = self.name in ("add_new_positive", "weakly_supervised")
        require(self.k is None or neighbours, "pairs.k", self.k, f"null for pairs={self.name}")
        drops = self.name.startswith("drop_")
        require(self.fraction is None or drops, "pairs.fraction", self.fraction, f"null for pairs={self.name}")
        if drops:
            require(self.fraction is not None and 0 <= self.fraction < 1, "pairs.fraction", self.fraction,
                     f"a number from 0 to less than 1 for pairs={self.name}")  # fmt: skip
        if neighbours:
            require(self.k is not None and self.k >= 1, "pairs.k", self.k, f"an integer >= 1 for pairs={self.name}")

    def dropped(self, total: int) -> int:
        """Return the fraction of `total`, rounded half up: 5 % of the 15 negatives in a batch of 16 is 1."""
        assert self.fraction is not None
        return math.floor(self.fraction * total + 0.5)


@dataclass
class ContrastConfig:
    """More to contrast against, without more passes through an encoder."""

    negatives: int = 0  # additional targets per step, of other images, from the feature cache
    grad_cache: bool = False  # true: micro-batches contrast over the whole batch (arXiv:2101.06983)
    every: int = 1  # N: compute the contrast in every N-th step only, with N times its weight

    def __post_init__(self) -> None:
        at_least("contrast.every", self.every, 1)
        at_least("contrast.negatives", self.negatives, 0)
