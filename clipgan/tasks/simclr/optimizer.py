"""Make LARS, and its schedule: a linear warm-up, then half a cosine."""

import math

from timm.optim import Lars
from torch import nn

from clipgan.config.simclr import SimclrConfig

PER = 256  # batch size for which the configured rate holds


def lars(network: nn.Module, config: SimclrConfig) -> Lars:
    """Make LARS (arXiv:1708.03888): a layer's step is proportional to the norm of its weights.

    v = m v + trust |w| / (|g| + weight_decay |w|) (g + weight_decay w), w -= rate v; biases and BatchNorms take plain
    steps without decay, as in SimCLR.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": config.weight_decay,
         "always_adapt": True},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]  # fmt: skip
    return Lars(groups, lr=0.0, momentum=config.momentum, trust_coeff=config.trust, eps=0.0)


def rate(config: SimclrConfig, batch: int, step: int, total: int) -> float:
    """Compute the rate of a step (0, 1, ..., total - 1): it rises in the first `warmup` share, then falls to 0."""
    warmup = round(config.warmup * total)
    peak = config.lr * batch / PER
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
