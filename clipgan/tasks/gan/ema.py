"""Compute the exponential moving average of the generator's weights."""

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from clipgan.config import ModelConfig
from clipgan.models.networks.generator import TextToImage


def ema_decay(model: ModelConfig, images: int, batch: int, fine_tuning: bool = False) -> float:
    """Compute the decay of one step: half-life `ema_kimg`, shorter in the beginning (StyleGAN2-ADA's ramp-up).

    Args:
        model: its `ema_kimg` and `ema_rampup`.
        images: real images shown so far.
        batch: real images per step.
        fine_tuning: whether the average began as a trained average: a ramp-up would forget it, so there is none.
    """
    half_life = model.ema_kimg * 1000
    if model.ema_rampup > 0 and not fine_tuning:
        half_life = min(half_life, images * model.ema_rampup)
    return 0.5 ** (batch / max(half_life, 1e-8))


@torch.no_grad()
def update_ema(average: TextToImage, generator: TextToImage, decay: float) -> None:
    """Update average <- decay * average + (1 - decay) * generator, and copy the buffers."""
    get_ema_multi_avg_fn(decay)(list(average.parameters()), list(generator.parameters()), None)
    for mean, buffer in zip(average.buffers(), generator.buffers(), strict=True):
        mean.copy_(buffer)
