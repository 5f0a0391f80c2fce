"""What a network's pass asks of a machine, counted on tensors without values (PyTorch's meta device)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from clipgan.models.networks.cost import Counter


@dataclass(frozen=True)
class Kernel:
    """One launched operation."""

    flops: int  # of a matrix product or convolution, else 0
    bytes: int  # read and written


class History(Counter):
    """Counts operations as `Counter` does, and lists what is launched with the bytes that it moves.

    PyTorch's eager mode reads and writes memory at each operation; views move nothing and launch nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernels: list[Kernel] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = self.total
        out = super().__torch_dispatch__(func, types, args, kwargs)
        if not func.is_view:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)]
            self.kernels.append(Kernel(self.total - before, sum(map(_bytes, tensors))))
        return out


def ledger(action: Callable[[], Any]) -> list[Kernel]:
    """What an action launches."""
    with History() as book:
        action()
    return book.kernels


def seconds(kernels: Sequence[Kernel], flops: float, bandwidth: float, width: float = 1.0) -> float:
    """The roofline's time: each operation computes, or moves its bytes, whichever takes longer.

    Args:
        kernels: what is launched.
        flops: operations a second that matrix products reach.
        bandwidth: bytes a second that memory reaches.
        width: of a stored number, relative to the float32 that was counted.
    """
    return sum(max(kernel.flops / flops, kernel.bytes * width / bandwidth) for kernel in kernels)


def _bytes(tensor: Tensor) -> int:
    """Of a tensor in memory: an expanded one is stored once, a slice is less than its storage."""
    return min(tensor.numel() * tensor.itemsize, tensor.untyped_storage().nbytes())
