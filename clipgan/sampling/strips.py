"""Interpolation strips: from seed to seed with one prompt, and from prompt to prompt with one seed.

Shapes: S pictures in a strip, R resolution.
"""

import torch
from torch import Tensor

from clipgan.base.vectors import unit
from clipgan.sampling.sampler import Sampler


def latent_strip(sampler: Sampler, prompt: str, seeds: tuple[int, int], steps: int, truncation: float) -> Tensor:
    """Interpolate linearly in W from one seed's style to another's (StyleGAN, arXiv:1812.04948, section 4).

    All pictures use the first seed's noise, so that nothing flickers.

    Returns:
        uint8 [S, 3, R, R]; the first picture is the first seed's own picture.
    """
    condition = sampler.condition(prompt)
    first, second = (sampler.style(seed) for seed in seeds)
    return torch.stack([
        sampler.synthesise(first.lerp(second, t), condition, seeds[0], truncation) for t in positions(steps)
    ])  # fmt: skip


def text_strip(sampler: Sampler, prompts: tuple[str, str], seed: int, steps: int, truncation: float) -> Tensor:
    """Interpolate on the unit sphere from one prompt's embedding to another's.

    Returns:
        uint8 [S, 3, R, R]; the first and the last picture are the prompts' own pictures.
    """
    first, second = (sampler.condition(prompt) for prompt in prompts)
    return torch.stack([sampler.image(slerp(first, second, t), seed, truncation) for t in positions(steps)])


def positions(steps: int) -> list[float]:
    """Return `steps` numbers spaced evenly from 0 to 1, both included."""
    return [step / (steps - 1) for step in range(steps)]


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Interpolate unit rows [N, C] along the great circle (Shoemake 1985): t = 0 gives `a`, t = 1 gives `b`."""
    angle = torch.acos((a * b).sum(dim=1, keepdim=True).clamp(-1, 1))
    if t in (0, 1) or angle.max() < 1e-4:
        return b if t == 1 else a
    return unit((torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle))
