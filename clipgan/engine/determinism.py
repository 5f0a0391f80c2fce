"""The same bits from the same configuration, seed, machine and number of threads.

Draws come from named streams in any case (`clipgan.base.randomness`). This module settles the order in which PyTorch's
operations add up.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from clipgan.base.errors import UserError

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"  # of the environment


def is_deterministic(asked: bool | None, device: torch.device) -> bool:
    """Whether a training must repeat itself bit for bit; None: on a CPU, where that costs next to nothing."""
    return device.type == "cpu" if asked is None else asked


def settle_cublas() -> None:
    """Make cuBLAS add up in one order. It reads the environment when a process first uses it.

    Raises:
        UserError: this process has used CUDA already.
    """
    if CUBLAS not in os.environ and torch.cuda.is_initialized():
        raise UserError(f"deterministic=true comes too late for cuBLAS, since this process has used CUDA before: set "
                        f"{CUBLAS}=:4096:8 in its environment")  # fmt: skip
    os.environ.setdefault(CUBLAS, ":4096:8")


@contextmanager
def deterministic_algorithms(on: bool) -> Iterator[None]:
    """Use only deterministic algorithms of PyTorch while the block lasts.

    Raises:
        RuntimeError: in the block, where an operation has no deterministic algorithm on this device.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # a module with a property, which its type stubs lack
    filled = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(on)
    memory.fill_uninitialized_memory = False  # this project never reads uninitialized memory
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory = filled
