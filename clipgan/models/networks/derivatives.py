"""How layers are differentiated: once, with written-out gradients, or twice, with PyTorch's ordinary operations.

A layer with a written-out gradient is one node of autograd's graph, and the operations inside it need none. On a CPU
that saves most of what a small layer costs. On a GPU it saves kernels, and feature maps kept for the backward pass. But
such a gradient cannot be differentiated again. So the regularisers, which differentiate twice, run in the block
`differentiated_twice`. torch.compile traces the ordinary operations too.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor

SLOPE = 0.2  # of leaky ReLU
_twice = [False]  # whether a block `differentiated_twice` runs
_inputs_only = [False]  # whether a block `gradients_of_inputs_only` runs


@contextmanager
def _set(flag: list[bool]) -> Iterator[None]:
    before, flag[0] = flag[0], True
    try:
        yield
    finally:
        flag[0] = before


def differentiated_twice() -> AbstractContextManager[None]:
    """Use ordinary operations in a block: their results can be differentiated twice."""
    return _set(_twice)


def twice() -> bool:
    """Whether a block `differentiated_twice` runs."""
    return _twice[0]


def gradients_of_inputs_only() -> AbstractContextManager[None]:
    """Leave out the gradients of weights in a block, where a regulariser computes its first gradient.

    Autograd does not tell a function which of its gradients are needed. After NVIDIA's conv2d_gradfix.
    """
    return _set(_inputs_only)


def inputs_only() -> bool:
    """Whether a block `gradients_of_inputs_only` runs."""
    return _inputs_only[0]


def written_out() -> bool:
    """Whether layers use written-out gradients here."""
    return not (twice() or torch.compiler.is_compiling())


def once(function: type[torch.autograd.Function], x: Tensor, *arguments: Any) -> Tensor:
    """Apply a function with a written-out gradient, without autocast inside.

    Args:
        function: casts everything to the dtype of its first argument where that is faster.
        x: its first argument, which is cast to autocast's dtype.
        arguments: its further arguments.
    """
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        x = x.to(torch.get_autocast_dtype(kind))
        with torch.autocast(kind, enabled=False):
            return function.apply(x, *arguments)
    return function.apply(x, *arguments)


def pixels(x: Tensor) -> Tensor:
    """View [N, I, H, H] in the layout channels_last as [N, H H, I]; other layouts are copied."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def scaled_product(a: Tensor, b: Tensor, factor: float) -> Tensor:
    """Return factor * a @ b in one operation."""
    return torch.addmm(b[0], a, b, beta=0, alpha=factor)  # with beta = 0, addmm does not read its first argument


def slope_backward(gradient: Tensor, y: Tensor) -> Tensor:
    """Return the gradient before leaky ReLU; its result `y` has the sign of its argument."""
    return torch.ops.aten.leaky_relu_backward.default(gradient, y, SLOPE, True)


def convolution_backward(gradient: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of x and weight of a convolution that keeps the resolution, from its result's gradient."""
    padding, one = [weight.shape[2] // 2] * 2, [1, 1]
    of_x, of_weight, _ = torch.ops.aten.convolution_backward.default(
        gradient, x, weight, None, one, padding, one, False, [0, 0], 1, [True, True, False]
    )
    return of_x, of_weight
