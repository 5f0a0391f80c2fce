"""Check that this machine can run torch.compile."""

import os

import torch

from clipgan.base.errors import UserError


def check_compiler(mode: str, device: torch.device) -> None:
    """Refuse `compile` on a CPU without a C++ compiler.

    Raises:
        UserError: torch.compile will find no C++ compiler.
    """
    if device.type != "cpu":
        return
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        wanted = os.environ.get("CXX", "g++")
        raise UserError(f"compile={mode} needs a C++ compiler on a CPU, and {wanted} does not run here: install one, "
                        "name another in the environment's CXX, or leave compile out") from error  # fmt: skip
