"""`loss`, `S`: a loss structure, its weights and its temperatures."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from clipgan.base.errors import UserError
from clipgan.config.checks import one_of, require, weight

SPACES = ("D", "CLIP", "ResNet")
PAIRS = ("it", "ii")
SIMILARITIES = ("cos", "exp_cos")
TEXTS = ("clean", "noisy")
COLDEST = 1e-4  # temperature: below it float32 has no digits left for the differences of cosines over it
LEARNED_FROM, LEARNED_TO = 0.01, 1.0  # range of a learned temperature, CLIP's own
COLDEST_EXP_COS = 0.02  # exp(1 / tau) is no number in float32 below about 0.0113


@dataclass
class SpaceWeights:
    """Structure parameters S_s, one for each space (source notes: 1 : 2 : 1)."""

    D: float = 1.0  # weight of the space of D's semantic head
    CLIP: float = 2.0  # weight of CLIP's space
    ResNet: float = 1.0  # weight of the ResNet's space

    def __post_init__(self) -> None:
        for space in SPACES:
            weight(f"S.{space}", getattr(self, space))


@dataclass
class Temperatures:
    """InfoNCE temperature tau of each space."""

    D: float = 0.5  # tau in D's own space
    CLIP: float = 0.5  # tau in CLIP's space
    ResNet: float = 0.5  # tau in the ResNet's space
    learned: bool = False  # true: each network learns one tau for each space, from these on, between 0.01 and 1

    def __post_init__(self) -> None:
        for space in SPACES:
            value = getattr(self, space)
            _temperature(f"loss.temperature.{space}", value)
            require(not self.learned or LEARNED_FROM <= value <= LEARNED_TO, f"loss.temperature.{space}", value,
                     f"between {LEARNED_FROM} and {LEARNED_TO} with loss.temperature.learned=true")  # fmt: skip


@dataclass
class TermConfig:
    """What one term has of its own; null: what the whole structure has."""

    S: float | None = None  # weight of its space
    C: float | None = None  # weight of its pairs
    h: float | None = None  # factor of its heterologous direction
    homologous: float | None = None  # factor of its L(a -> b)
    heterologous: float | None = None  # factor of its L(b -> a); the same as h
    temperature: float | None = None  # tau


@dataclass
class SpaceTerms:
    """The pairs that one space carries in one network's loss; null: not this one, {}: with the common weights."""

    it: TermConfig | None = None  # image-text pairs
    ii: TermConfig | None = None  # image-image pairs


@dataclass
class ViewConfig:
    """How the encoders see generated images in a training step. LAFITE's code: crop=0.5, pad=true, antialias=false."""

    crop: float = 1.0  # least side of a random crop, one for the batch, as a share of the image's; 1: no crop
    # An image that is smaller than the encoder's input is not cropped.
    pad: bool = False  # an image smaller than the encoder's input: true: on white, at a random place; false: enlarged
    antialias: bool = True  # whether an image that shrinks is smoothed

    def __post_init__(self) -> None:
        require(0 < self.crop <= 1, "loss.view.crop", self.crop, "above 0 and at most 1")


@dataclass
class LossConfig:
    """A loss structure: which pairs each space carries in each network's loss, and how the two directions weigh.

    `generator` and `discriminator` map a space to its pairs, and a pair to what its term has of its own (mostly
    nothing): `CLIP: {it: {h: 0.1}, ii: {}}`.
    """

    name: str  # name of the structure
    generator: dict[str, SpaceTerms]  # the generator's loss: a space, and the pairs that it carries
    discriminator: dict[str, SpaceTerms]  # the discriminator's loss; only the space D trains in it
    heterologous: float  # factor of L(b -> a), whose anchor is the target
    homologous: float = 1.0  # factor of L(a -> b), whose anchor is the image
    temperature: Temperatures = field(default_factory=Temperatures)  # InfoNCE temperature of each space
    text: str = "clean"  # targets of image-text pairs: clean (the caption's features) | noisy (those that G and D get)
    view: ViewConfig = field(default_factory=ViewConfig)  # how the encoders see generated images
    similarity: str = "cos"  # inside the softmax: cos (cos / tau) | exp_cos (exp(cos / tau), as LAFITE's code has it)

    def __post_init__(self) -> None:
        one_of("loss.similarity", self.similarity, SIMILARITIES)
        one_of("loss.text", self.text, TEXTS)
        for phase, allowed in (("generator", SPACES), ("discriminator", ("D",))):
            for space in getattr(self, phase):
                if space not in allowed:
                    raise UserError(f"loss.{phase}.{space} is not allowed: it must be {' or '.join(allowed)}")
        for phase, space, pair, term in self.terms():
            _check_term(f"loss.{phase}.{space}.{pair}", term)
        if self.temperature.learned:
            self._check_learned()
        if self.similarity == "exp_cos":
            for key, value in self._temperatures().items():
                require(value >= COLDEST_EXP_COS, key, value, f">= {COLDEST_EXP_COS} with loss.similarity=exp_cos")

    def terms(self) -> Iterator[tuple[str, str, str, TermConfig]]:
        """Phase (generator or discriminator), space, pair, and what the term has of its own; always in one order."""
        for phase in ("generator", "discriminator"):
            structure: dict[str, SpaceTerms] = getattr(self, phase)
            for space, pair in itertools.product(SPACES, PAIRS):
                term: TermConfig | None = getattr(structure.get(space), pair, None)
                if term is not None:
                    yield phase, space, pair, term

    def _check_learned(self) -> None:
        require(self.similarity == "cos", "loss.similarity", self.similarity, "cos with loss.temperature.learned=true")
        for phase, space, pair, term in self.terms():
            require(term.temperature is None, f"loss.{phase}.{space}.{pair}.temperature", term.temperature,
                     "null with loss.temperature.learned=true: the pairs of a space share its temperature")  # fmt: skip

    def _temperatures(self) -> dict[str, float]:
        """Every temperature by its key."""
        common = {f"loss.temperature.{space}": getattr(self.temperature, space) for space in SPACES}
        of_terms = {f"loss.{'.'.join(place)}.temperature": term.temperature for *place, term in self.terms()}
        return common | {key: value for key, value in of_terms.items() if value is not None}


def _check_term(key: str, term: TermConfig) -> None:
    require(term.h is None or term.heterologous is None, f"{key}.h", term.h, f"null beside {key}.heterologous")
    for name, value in vars(term).items():
        if value is not None:
            (_temperature if name == "temperature" else weight)(f"{key}.{name}", value)


def _temperature(key: str, value: float) -> None:
    require(math.isfinite(value) and value >= COLDEST, key, value, f"a finite number >= {COLDEST}")
