"""`augment`: what changes images before D sees them."""

import math
from dataclasses import dataclass, field

from clipgan.config.checks import one_of, require

AUGMENTATIONS = {  # name -> kinds of transforms
    "none": (),
    "diffaugment": ("colour", "translation", "cutout"),
    "ada": ("blit", "geometry", "colour"),
}


@dataclass
class AugmentConfig:
    """What changes images before D sees them; `clipgan.models.augmentation` says what that does to f_D."""

    name: str = "none"  # none | diffaugment | ada
    policy: list[str] = field(default_factory=list)  # kinds of transforms, applied one after the other
    target: float | None = None  # ada: the mean sign of D's logits of real images (r_t) that p leads to
    interval: int | None = None  # ada: steps from one change of p to the next
    kimg: float | None = None  # ada: kimg in which p can go from 0 to 1

    def __post_init__(self) -> None:
        one_of("augment.name", self.name, tuple(AUGMENTATIONS))
        allowed = AUGMENTATIONS[self.name]
        fits = bool(self.policy) == bool(allowed) and len(set(self.policy)) == len(self.policy)
        require(fits and set(self.policy) <= set(allowed), "augment.policy", self.policy,
                 f"some of [{', '.join(allowed)}], each once, for augment={self.name}" if allowed
                 else f"[] for augment={self.name}")  # fmt: skip
        if self.name != "ada":
            for key in ("target", "interval", "kimg"):
                value = getattr(self, key)
                require(value is None, f"augment.{key}", value, f"null for augment={self.name}")
            return
        require(self.target is not None and -1 < self.target < 1, "augment.target", self.target,
                 "a number between -1 and 1 for augment=ada")  # fmt: skip
        require(self.interval is not None and self.interval >= 1, "augment.interval", self.interval,
                 "an integer >= 1 for augment=ada")  # fmt: skip
        require(self.kimg is not None and math.isfinite(self.kimg) and self.kimg > 0, "augment.kimg", self.kimg,
                 "a finite number > 0 for augment=ada")  # fmt: skip
