"""The augmentations that a configuration names: none, DiffAugment, or StyleGAN2-ADA's with an adaptive probability."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from clipgan.base.randomness import Draw
from clipgan.config import AugmentConfig
from clipgan.models.augmentation import diffaugment
from clipgan.models.augmentation.blit import draw_blit
from clipgan.models.augmentation.colour import draw_colour
from clipgan.models.augmentation.diffaugment import Apply
from clipgan.models.augmentation.geometry import draw_geometry
from clipgan.models.augmentation.rows import Rows
from clipgan.models.networks.scales import Scales

ADAPTIVE: dict[str, Callable[[Rows, Tensor], Apply]] = {
    "blit": draw_blit,
    "geometry": draw_geometry,
    "colour": draw_colour,
}


class Augmentation:
    """No augmentation; the base class of the others."""

    def __call__(self, images: Scales, draw: Callable[[], Draw]) -> Scales:
        """Augment images for D, all scales in the same way; call `draw` only if random numbers are needed."""
        return images

    def end_step(self, step: int, real_sign: Tensor) -> dict[str, Tensor]:
        """Adapt to the mean sign of D's logits for the real images of a step; return values to log."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state that a resumed training needs."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""


class DiffAugment(Augmentation):
    """Applies every transform of the policy to every image."""

    def __init__(self, policy: list[str]) -> None:
        self.transforms = [diffaugment.TRANSFORMS[name] for name in policy]

    def __call__(self, images: Scales, draw: Callable[[], Draw]) -> Scales:
        """See `Augmentation`."""
        rows = Rows(draw(), len(images.image))
        for transform in self.transforms:
            images = images.map(transform(rows))
        return images


class AdaptiveAugmentation(Augmentation):
    """Applies every transform with probability p, which follows D's overfitting (arXiv:2006.06676, section 3).

    r_t is the mean sign of D's logits for real images: near 0 if D cannot tell real from generated, 1 if D knows its
    training images by heart. Every `interval` steps p rises by a fixed amount if r_t is above the target, and falls by
    it if r_t is below. p starts at 0.
    """

    def __init__(self, config: AugmentConfig, batch: int, device: torch.device) -> None:
        assert config.target is not None
        assert config.interval is not None
        assert config.kimg is not None
        self.transforms = [ADAPTIVE[name] for name in config.policy]
        self.target, self.interval = config.target, config.interval
        self.amount = batch * config.interval / (config.kimg * 1000)
        self.p = torch.zeros((), device=device)
        self.signs = torch.zeros((), device=device)  # sum of the mean signs since the last change of p

    def __call__(self, images: Scales, draw: Callable[[], Draw]) -> Scales:
        """See `Augmentation`."""
        rows = Rows(draw(), len(images.image))
        for transform in self.transforms:
            images = images.map(transform(rows, self.p))
        return images

    def end_step(self, step: int, real_sign: Tensor) -> dict[str, Tensor]:
        """See `Augmentation`."""
        self.signs.add_(real_sign)  # in place: CUDA graphs read p where it lies
        if (step + 1) % self.interval == 0:
            direction = (self.signs / self.interval - self.target).sign()
            self.p.add_(direction * self.amount).clamp_(0, 1)
            self.signs.zero_()
        return {"augment/p": self.p.clone()}

    def state_dict(self) -> dict[str, Tensor]:
        """See `Augmentation`."""
        return {"p": self.p, "signs": self.signs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Augmentation`."""
        self.p.copy_(state["p"])
        self.signs.copy_(state["signs"])


def build_augmentation(config: AugmentConfig, batch: int, device: torch.device) -> Augmentation:
    """Build the augmentation that `config` names.

    Args:
        config: the configuration group `augment`.
        batch: real images per step, over all processes.
        device: the device of the networks.
    """
    if config.name == "diffaugment":
        return DiffAugment(config.policy)
    if config.name == "ada":
        return AdaptiveAugmentation(config, batch, device)
    return Augmentation()
