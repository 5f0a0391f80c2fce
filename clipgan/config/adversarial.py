"""`adversarial`: the game between G and D."""

from dataclasses import dataclass

from clipgan.config.checks import one_of, weight

ADVERSARIAL_LOSSES = ("nonsaturating", "hinge", "relativistic")


@dataclass
class AdversarialConfig:
    """The adversarial loss, and what D learns beside real against generated images."""

    name: str = "nonsaturating"  # nonsaturating | hinge | relativistic
    r2_gamma: float = 0.0  # weight of R2, the gradient penalty on generated images, in the steps of R1; 0: off
    mismatch: float = 0.0  # weight of real images with another image's caption, relative to generated images; 0: off

    def __post_init__(self) -> None:
        one_of("adversarial.name", self.name, ADVERSARIAL_LOSSES)
        weight("adversarial.r2_gamma", self.r2_gamma)
        weight("adversarial.mismatch", self.mismatch)
