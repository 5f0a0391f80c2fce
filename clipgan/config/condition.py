"""`condition`: what G and D are conditioned on."""

from dataclasses import dataclass

from clipgan.config.checks import at_least, one_of, require, weight

PSEUDO_TEXTS = ("noise", "nearest")


@dataclass
class ConditionConfig:
    """What G and D are conditioned on (LAFITE, arXiv:2111.13792, section 3): its caption, or a pseudo text."""

    name: str = "text"  # name of the condition
    text_noise: float = 0.1  # length of the noise on a caption's features, relative to theirs
    language_free: float = 0.0  # probability that a pseudo text replaces the caption; 1: always
    pseudo_text: str = "noise"  # of an image: noise (its features with noise) | nearest (a near image's caption)
    neighbours: int = 1  # nearest: how many of the nearest images lend their captions, one at random in each step
    image_noise: float = 0.75  # length of the noise that turns image features into a pseudo text, relative to theirs

    def __post_init__(self) -> None:
        weight("condition.text_noise", self.text_noise)
        weight("condition.image_noise", self.image_noise)
        one_of("condition.pseudo_text", self.pseudo_text, PSEUDO_TEXTS)
        at_least("condition.neighbours", self.neighbours, 1)
        require(0 <= self.language_free <= 1, "condition.language_free", self.language_free, "between 0 and 1")
