"""`condition`: what G and D are conditioned on."""

from dataclasses import dataclass

from clipgan.config.checks import at_least, one_of, require, share, weight

PSEUDO_TEXTS = ("noise", "nearest")
NOISES = ("added", "mixed")
PSEUDO_TEXT_KEYS = ("pseudo_text", "neighbours", "image_noise")  # which only pseudo texts read


@dataclass
class ConditionConfig:
    """What G and D are conditioned on (LAFITE, arXiv:2111.13792, section 3): its caption, or a pseudo text."""

    name: str = "text"  # name of the condition
    noise: str = "added"  # added (f + level n) | mixed ((1 - level) f + level n), for features f and noise n
    text_noise: float = 0.1  # level of the noise n on a caption's features; n is as long as they are
    language_free: float = 0.0  # probability that a pseudo text replaces the caption; 1: always
    pseudo_text: str = "noise"  # of an image: noise (its features with noise) | nearest (a near image's caption)
    neighbours: int = 1  # nearest: how many of the nearest images lend their captions, one at random in each step
    image_noise: float = 0.75  # level of the noise that turns image features into a pseudo text

    def __post_init__(self) -> None:
        weight("condition.text_noise", self.text_noise)
        weight("condition.image_noise", self.image_noise)
        one_of("condition.noise", self.noise, NOISES)
        for key in ("text_noise", "image_noise"):
            require(self.noise == "added" or getattr(self, key) < 1, f"condition.{key}", getattr(self, key),
                     "below 1 with condition.noise=mixed: nothing would be left of the features")  # fmt: skip
        one_of("condition.pseudo_text", self.pseudo_text, PSEUDO_TEXTS)
        at_least("condition.neighbours", self.neighbours, 1)
        share("condition.language_free", self.language_free)

    def length(self, level: float) -> float:
        """Convert a level to the length of the noise that is added to features of length 1, before normalisation."""
        return level if self.noise == "added" else level / (1 - level)
