"""The augmentations that a configuration names: none, DiffAugment, or StyleGAN2-ADA's with its adaptive probability."""

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
    """None: D sees images as they are."""

    def __call__(self, images: Scales, draw: Callable[[], Draw]) -> Scales:
        """Images as D is to see them, each scale changed alike; `draw` is called where there is something to draw."""
        return images

    def end_step(self, step: int, real_sign: Tensor) -> dict[str, Tensor]:
        """Adapt to the mean sign of D's logits of real images in a step. Returns values to log."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """What a training that goes on needs."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""


class DiffAugment(Augmentation):
    """Every transform of the policy, every time."""

    def __init__(self, policy: list[str]) -> None:
        self.transforms = [diffaugment.TRANSFORMS[name] for name in policy]

    def __call__(self, images: Scales, draw: Callable[[], Draw]) -> Scales:
        """See `Augmentation`."""
        rows = Rows(draw(), len(images.image))
        for transform in self.transforms:
            images = images.map(transform(rows))
        return images


class AdaptiveAugmentation(Augmentation):
    """Every transform with probability p, which follows how much D overfits (arXiv:2006.06676, section 3).

    r_t, the mean sign of D's logits of real images, is near 0 for a D that cannot tell and 1 for one that knows its
    training images. Every `interval` steps p moves by a fixed amount towards where r_t is at the target: up if r_t is
    above it, down if it is below. p starts at 0.
    """

    def __init__(self, config: AugmentConfig, batch: int, device: torch.device) -> None:
        assert config.target is not None
        assert config.interval is not None
        assert config.kimg is not None
        self.transforms = [ADAPTIVE[name] for name in config.policy]
        self.target, self.interval = config.target, config.interval
        self.amount = batch * config.interval / (config.kimg * 1000)
        self.p = torch.zeros((), device=device)
        self.signs = torch.zeros((), device=device)  # their sum, of the steps since p was moved

    def __call__(self, images: Scales, draw: Callable[[], Draw]) -> Scales:
        """See `Augmentation`."""
        rows = Rows(draw(), len(images.image))
        for transform in self.transforms:
            images = images.map(transform(rows, self.p))
        return images

    def end_step(self, step: int, real_sign: Tensor) -> dict[str, Tensor]:
        """See `Augmentation`."""
        self.signs = self.signs + real_sign
        if (step + 1) % self.interval == 0:
            direction = (self.signs / self.interval - self.target).sign()
            self.p = (self.p + direction * self.amount).clamp(0, 1)
            self.signs = torch.zeros_like(self.signs)
        return {"augment/p": self.p}

    def state_dict(self) -> dict[str, Tensor]:
        """See `Augmentation`."""
        return {"p": self.p, "signs": self.signs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Augmentation`."""
        self.p, self.signs = (state[name].to(self.p.device) for name in ("p", "signs"))


def build_augmentation(config: AugmentConfig, batch: int, device: torch.device) -> Augmentation:
    """What `config` names.

    Args:
        config: the group.
        batch: real images a step, over all processes.
        device: where the networks live.
    """
    if config.name == "diffaugment":
        return DiffAugment(config.policy)
    if config.name == "ada":
        return AdaptiveAugmentation(config, batch, device)
    return Augmentation()
