"""Make the optimisers of G and D: StyleGAN2's Adam."""

from collections.abc import Iterable

import torch
from torch import nn


def adam(parameters: Iterable[nn.Parameter], lr: float, interval: int | None) -> torch.optim.Adam:
    """Make StyleGAN2's Adam; a lazy regulariser's extra steps shrink rate and beta exponents by `ratio`."""
    ratio = 1.0 if interval is None else interval / (interval + 1)
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=lr * ratio, betas=(0.0, 0.99**ratio), eps=1e-8, fused=True)
    allow_capture(optimizer)
    return optimizer


def allow_capture(optimizer: torch.optim.Adam) -> None:
    """Let CUDA graphs capture the optimiser's steps. A checkpoint from a CPU would turn this off."""
    for group in optimizer.param_groups:
        group["capturable"] = group["params"][0].is_cuda
