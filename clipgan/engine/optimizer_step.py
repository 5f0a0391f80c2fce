"""Make one step of an optimiser, over all processes."""

import torch

from clipgan.base.distributed import sum_gradients
from clipgan.engine.divergence import Watch

OVERFLOWS = 20  # in a row; a scaler skips the step of each and halves its scale, 20 times to a millionth


def update(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, watch: Watch, gradient: str) -> None:
    """Step the optimiser on the accumulated gradients, summed over all processes.

    Args:
        optimizer: its parameters have gradients.
        scaler: scales the gradients, where their precision needs that.
        watch: records the gradients.
        gradient: the gradients' name in the watch.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    sum_gradients(parameters)
    watch.see_gradient(gradient, parameters, OVERFLOWS if scaler.is_enabled() else 1)
    scaler.step(optimizer)
    scaler.update()
