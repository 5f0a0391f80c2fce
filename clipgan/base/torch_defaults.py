"""Compute with PyTorch's own defaults, whatever the caller of the Python functions has set."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from clipgan.base.errors import UserError


@contextmanager
def torch_defaults() -> Iterator[None]:
    """While the block runs: new tensors are float32 and on the CPU, and autograd records; then all is as before.

    The defaults are those of the process: while several threads enter the block, they must be PyTorch's own.

    Raises:
        UserError: a block `with torch.device(...)`, which cannot be undone, is around this one.
    """
    dtype, device = torch.get_default_dtype(), _default_device()
    torch.set_default_device(None)
    if _default_device().type != "cpu":
        raise UserError(f"`with torch.device('{device}'):` is around the call: leave the block before it")
    torch.set_default_dtype(torch.float32)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_default_device(None if device.type == "cpu" else device)
        torch.set_default_dtype(dtype)


def _default_device() -> torch.device:
    """The device of a new tensor. PyTorch 2.6's own function fails once the default has been set to None."""
    return torch.empty(0).device
