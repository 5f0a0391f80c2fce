"""Make trainings reproducible: same configuration, seed, machine and number of threads, same bits.

Random draws are always reproducible (`clipgan.base.randomness`). This module fixes the order in which PyTorch's
operations add numbers.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from clipgan.base.errors import UserError

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"  # an environment variable
_settled: list[bool] = []  # not empty: set in time, by an earlier training of this process; a caller may take it back


def is_deterministic(asked: bool | None, device: torch.device) -> bool:
    """Whether a training must be reproducible bit for bit; None: only on a CPU, where this costs almost nothing."""
    return device.type == "cpu" if asked is None else asked


def settle_cublas() -> None:
    """Make cuBLAS add in a fixed order, through the environment. cuBLAS reads it at a process's first use of CUDA.

    Raises:
        UserError: this process has already used CUDA.
    """
    if CUBLAS not in os.environ and torch.cuda.is_initialized() and not _settled:
        raise UserError(f"deterministic=true comes too late for cuBLAS, since this process has used CUDA before: set "
                        f"{CUBLAS}=:4096:8 in its environment")  # fmt: skip
    os.environ.setdefault(CUBLAS, ":4096:8")
    _settled.append(True)


@contextmanager
def deterministic_algorithms(on: bool) -> Iterator[None]:
    """Use only deterministic algorithms of PyTorch while the block runs, if `on`.

    cuDNN never searches for the fastest convolutions: at 256 pixels that took 20 s, and a step was 2 % faster at most.

    Raises:
        RuntimeError: inside the block, if an operation has no deterministic algorithm on this device.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # a module with a property, which its type stubs lack
    filled, searches = memory.fill_uninitialized_memory, torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(on)
    memory.fill_uninitialized_memory = False  # this project never reads uninitialized memory
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory = filled
        torch.backends.cudnn.benchmark = searches
