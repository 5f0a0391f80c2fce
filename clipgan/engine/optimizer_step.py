"""One step of an optimiser, over all processes."""

import torch

from clipgan.base.distributed import sum_gradients
from clipgan.engine.divergence import Watch

OVERFLOWS = 20  # in a row: a scaler expects some, skips their steps and halves its scale, here to a millionth


def update(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, watch: Watch, gradient: str) -> None:
    """One step on the gradients that have gathered; those of all processes are added up.

    Args:
        optimizer: whose parameters have gradients.
        scaler: of the gradients, where their precision needs one.
        watch: notes them.
        gradient: what it calls them.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    sum_gradients(parameters)
    watch.see_gradient(gradient, parameters, OVERFLOWS if scaler.is_enabled() else 1)
    scaler.step(optimizer)
    scaler.update()
