"""Choose the device for a command's computations."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from clipgan.base.distributed import own_device
from clipgan.base.errors import UserError
from clipgan.base.nvidia_smi import read_gpus


def choose_device(name: str) -> torch.device:
    """Return the device of this name, and make a GPU CUDA's current device, which initialises CUDA.

    `auto` is the GPU if there is one, else the CPU. Each process of a training gets its own GPU.

    Raises:
        UserError: the device is unknown, or this machine lacks it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device={name} is not allowed: device must be auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device={name} is not here: this machine has {torch.cuda.device_count()} CUDA devices")
    device = own_device(device)
    make_current(device)
    return device


def make_current(device: torch.device) -> None:
    """Make a GPU CUDA's current device, before anything else uses CUDA; do nothing for a CPU.

    Libraries allocate on the current device, CUDA graphs are captured on it, and PyTorch's questions about hardware
    mean it. Without this, `cuda:1` would also take memory of GPU 0.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)
        torch.backends.cudnn.allow_tf32 = False  # PyTorch's default would round the encoders' float32


def readable_name(device: torch.device) -> str:
    """Name the hardware as its maker does: `NVIDIA H200 (cuda:0)`, `AMD EPYC 9R14 (cpu)`."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    name = platform.machine()
    with suppress(OSError):  # only Linux has this file
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":  # ARM's processors do not say one
                name = value.strip()
                break
    return f"{name} ({device})"


@contextmanager
def tensorfloat(on: bool) -> Iterator[None]:
    """Turn TensorFloat-32 on or off while the block runs; PyTorch has one switch for the whole process."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = on
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def allows_one_process(device: torch.device) -> bool:
    """Whether this is a GPU in compute mode EXCLUSIVE_PROCESS: no second process can use it."""
    if device.type != "cuda":
        return False
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    return any(gpu.exclusive for gpu in read_gpus() if gpu.uuid == uuid)
