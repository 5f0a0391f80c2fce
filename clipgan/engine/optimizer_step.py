"""One step of an optimiser, over all processes."""

import torch

from clipgan.base.distributed import sum_gradients
from clipgan.engine.divergence import Watch

OVERFLOWS = 20  # in a row: a scaler expects some, skips their steps and halves its scale, here to a millionth


def update(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, watch: Watch, gradient: str) -> None:
    """Step the optimiser on the accumulated gradients, summed over all processes.

    Args:
        optimizer: its parameters have gradients.
        scaler: scales the gradients, where their precision needs that.
        watch: notes the gradients.
        gradient: their name in the watch.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    sum_gradients(parameters)
    watch.see_gradient(gradient, parameters, OVERFLOWS if scaler.is_enabled() else 1)
    scaler.step(optimizer)
    scaler.update()
