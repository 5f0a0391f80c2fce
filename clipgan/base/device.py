"""Choose the device for a command's computations."""

import torch

from clipgan.base.errors import UserError


def choose_device(name: str) -> torch.device:
    """Return the device of this name; `auto` is the GPU if there is one, else the CPU.

    Raises:
        UserError: the device is unknown, or this machine lacks it.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device={name} is not allowed: device must be auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device={name} is not here: this machine has {torch.cuda.device_count()} CUDA devices")
    return device
