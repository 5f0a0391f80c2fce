"""torch.compile for what a step spends its time in. The lazy regularisers differentiate twice and stay outside."""

import os

import torch

from clipgan.errors import UserError
from clipgan.training.spaces import FrozenSpaces
from clipgan.training.state import TrainingState


def check_compiler(mode: str, device: torch.device) -> None:
    """
    Raises:
        UserError: torch.compile will find no C++ compiler, which it needs on a CPU.
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


def compile_networks(state: TrainingState, spaces: FrozenSpaces, mode: str, backend: str = "inductor") -> None:
    """Compile G, D and the encoders' image towers in place; each shape is compiled when it comes first.

    Args:
        state: whose generator and discriminator are meant; the moving average is left alone.
        spaces: whose encoders are meant.
        mode: torch.compile's: default | reduce-overhead (CUDA graphs on a GPU) | max-autotune.
        backend: torch.compile's.
    """
    towers = [spaces.clip.backbone.visual, *([] if spaces.resnet is None else [spaces.resnet.backbone])]
    for module in (state.generator.mapping, state.generator.synthesis, state.discriminator, *towers):
        module.compile(mode=mode if backend == "inductor" else None, backend=backend, dynamic=False, fullgraph=True)
    state.compiled = True
