"""Recording a step's kernels on a CPU and repeating them on the same memory, as a CUDA graph does on a GPU.

What Python computes is fixed at the recording: a number in an operation's arguments stays as it was, which a repeated
call of a Python function would not show.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from clipgan.engine.step_graphs import Replay, StepOutputs


class _Recorder(TorchDispatchMode):
    """Runs each operator and keeps it with its arguments and results."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Callable[..., Any], Any, Any, Any]] = []

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, result))
        return result


def record(function: Replay) -> Replay:
    """Capture a function by running it once; the first replay returns this run's outputs."""
    recorder = _Recorder()
    with recorder:
        outputs = function()
    ran = [True]

    def replay() -> StepOutputs:
        if ran.pop() if ran else False:
            return outputs
        with torch.no_grad():
            for func, args, kwargs, result in recorder.calls:
                _repeat(func, args, kwargs, result)
        return outputs

    return replay


def _repeat(func: Callable[..., Any], args: Any, kwargs: Any, result: Any) -> None:
    leaves = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    given = {each.untyped_storage().data_ptr() for each in leaves}
    again = func(*args, **kwargs)
    for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
        if isinstance(old, torch.Tensor) and old.untyped_storage().data_ptr() not in given:
            old.copy_(new)
