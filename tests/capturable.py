"""Refusing what a CUDA graph cannot record, on a CPU."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# how an operator's name begins -> what it stands for; on a GPU each of these copies between the devices
REFUSED = {
    "aten.lift_fresh": "a tensor or an index made of Python's numbers",
    "aten._local_scalar_dense": "a tensor's value as Python's number",
    "aten.nonzero": "a shape that depends on values",
}


class Capturable(TorchDispatchMode):
    """Fails if anything in the block would end the capture of a CUDA graph."""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        for name, meaning in REFUSED.items():
            assert not str(func).startswith(name), f"{func}: {meaning}"
        inputs = [arg for arg in args if isinstance(arg, torch.Tensor)]
        result = func(*args, **(kwargs or {}))
        for output in result if isinstance(result, tuple) else (result,):
            if isinstance(output, torch.Tensor):
                assert not inputs or output.device == inputs[0].device, f"{func}: a copy to another device"
        return result
