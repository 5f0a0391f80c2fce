"""Measure the peak memory of this process."""

import resource
import sys

import torch


def peak_memory(device: torch.device) -> float:
    """Return the peak in GB: of the GPU if `device` is one, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9
