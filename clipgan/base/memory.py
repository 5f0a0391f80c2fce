"""Measure the peak memory of a run, in a process that may have done other runs before."""

import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

CLEAR_REFS = Path("/proc/self/clear_refs")
FORGET_PEAK = "5"  # see proc(5): the process's peak becomes its present size


def give_back_memory() -> None:
    """Give GPUs back what runs of this process have left there: garbage in cycles, and PyTorch's cache."""
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def measure_peak_from_now(device: torch.device) -> None:
    """Let `peak_memory` forget the peak of earlier runs in this process; macOS cannot forget that of a CPU's run."""
    give_back_memory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        if CLEAR_REFS.exists():
            CLEAR_REFS.write_text(FORGET_PEAK)


def peak_memory(device: torch.device) -> float:
    """Return the peak in GB: of the GPU if `device` is one, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9
