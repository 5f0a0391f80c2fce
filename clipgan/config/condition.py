"""`condition`: what G and D are conditioned on."""

from dataclasses import dataclass

from clipgan.config.checks import require, weight


@dataclass
class ConditionConfig:
    """What G and D are conditioned on (LAFITE, arXiv:2111.13792, section 3): its caption, or a pseudo text."""

    name: str = "text"  # name of the condition
    text_noise: float = 0.1  # length of the noise on a caption's features, relative to theirs
    language_free: float = 0.0  # probability that a pseudo text replaces the caption; 1: no caption is ever read
    image_noise: float = 0.75  # length of the noise that turns image features into a pseudo text, relative to theirs

    def __post_init__(self) -> None:
        weight("condition.text_noise", self.text_noise)
        weight("condition.image_noise", self.image_noise)
        require(0 <= self.language_free <= 1, "condition.language_free", self.language_free, "between 0 and 1")
