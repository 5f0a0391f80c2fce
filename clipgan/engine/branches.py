"""Let independent computations of a captured step run at the same time.

A small network's kernels occupy a part of the GPU each, and a graph repeats one after the other unless it has branches.
Outside a capture, everything runs in order: there the CPU's launches limit the step, and a branch's memory is its own.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor


class Branches:
    """Branches that begin where this object is made. Autograd runs the gradient of each in the branch, too."""

    def __init__(self) -> None:
        self._begin: torch.cuda.Event | None = None
        self._streams: list[torch.cuda.Stream] = []
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            self._begin = torch.cuda.current_stream().record_event()

    def run(self, compute: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Compute in a branch of its own.

        Args:
            compute: reads x and tensors that stay: a tensor that is freed in the meantime would lose its memory to
                another branch.
            x: computed before these branches began.

        Returns:
            The result, which may be read after `join`.
        """
        if self._begin is None:
            return compute(x)
        stream = _stream(torch.cuda.current_device(), len(self._streams))
        self._streams.append(stream)
        stream.wait_event(self._begin)
        x.record_stream(stream)
        with torch.cuda.stream(stream):
            result = compute(x)
        result.record_stream(torch.cuda.current_stream())
        return result

    def join(self) -> None:
        """Let what follows wait for all branches."""
        for stream in self._streams:
            torch.cuda.current_stream().wait_stream(stream)


@functools.lru_cache
def _stream(device: int, number: int) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
