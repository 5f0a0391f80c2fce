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


class MovingAverage:
    """The tensors of a moving average beside its generator's; listed once, since finding them takes a millisecond."""

    def __init__(self, average: TextToImage, generator: TextToImage) -> None:
        self._parameters = list(average.parameters()), list(generator.parameters())
        self._buffers = list(zip(average.buffers(), generator.buffers(), strict=True))

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Compute average <- decay * average + (1 - decay) * generator, and copy the buffers."""
        get_ema_multi_avg_fn(decay)(*self._parameters, None)
        for mean, buffer in self._buffers:
            mean.copy_(buffer)
