"""Data parallelism over the processes of torch.distributed; with one process, and without it, nothing happens.

Each process computes the contrastive loss of all rows. The rows of others are constants to it, so that the sum of all
processes' gradients is the gradient of the whole batch. The steps of training work so; `train.py` starts one process.

Shapes: n rows of this process, W processes.
"""

from collections.abc import Iterable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def world_size() -> int:
    """W."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def gather(rows: Tensor) -> Tensor:
    """[n, ...] -> [W n, ...], by rank; this process's own rows keep their gradient."""
    if world_size() == 1:
        return rows
    everyone = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(everyone, rows.detach().contiguous())
    everyone[dist.get_rank()] = rows
    return torch.cat(everyone)


def total(value: Tensor) -> Tensor:
    """The sum of all processes' values, without gradient."""
    if world_size() == 1:
        return value.detach()
    value = value.detach().clone()
    dist.all_reduce(value)
    return value


def from_first(value: T, device: torch.device) -> T:
    """Process 0's value of a plain object, in all of them."""
    if world_size() == 1:
        return value
    held = [value]
    dist.broadcast_object_list(held, src=0, device=device)
    return held[0]


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Add up each parameter's gradient over the processes, in one message."""
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, summed in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))
