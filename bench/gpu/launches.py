"""Count the kernels of a step and the launches by the CPU, and find the longest kernels, with PyTorch's profiler."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

LAUNCH = re.compile(r"(cuda|cu)Launch(Cooperative)?Kernel\w*")
COPIES = ("cudaMemcpyAsync", "cudaMemsetAsync")
NAME = 200  # characters that are kept of a kernel's name
REPEATED = re.compile(r"void |at::native::|\(anonymous namespace\)::")  # what kernels' names repeat


def profiled(action: Callable[[], Any], device: torch.device, longest: int = 0) -> dict[str, Any]:
    """Run an action under the profiler.

    Returns:
        `kernels`: on the GPU; `kernel_ms`: their time; `launches`: by the CPU, one for each kernel outside graphs;
        `graph_launches`; `copies`: copies and fills outside graphs; `longest`: the kernels with the most time.
    """
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities, acc_events=True) as profiler:
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    averages = profiler.key_averages()
    kernels = [
        event for event in averages
        if event.device_type == DeviceType.CUDA and not event.key.startswith(("Memcpy", "Memset"))
    ]  # fmt: skip
    top = sorted(kernels, key=lambda event: -event.self_device_time_total)[:longest]
    return {
        "kernels": sum(event.count for event in kernels),
        "kernel_ms": sum(event.self_device_time_total for event in kernels) / 1000,
        "launches": sum(event.count for event in averages if LAUNCH.fullmatch(event.key)),
        "graph_launches": sum(event.count for event in averages if event.key == "cudaGraphLaunch"),
        "copies": sum(event.count for event in averages if event.key in COPIES),
        **({"longest": [_named(event) for event in top]} if longest else {}),
    }


def _named(event: Any) -> dict[str, Any]:
    name = REPEATED.sub("", event.key)[:NAME]
    return {"name": name, "count": event.count, "ms": event.self_device_time_total / 1000}
