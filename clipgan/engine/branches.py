"""Let independent computations of a captured step run at the same time.

A small network's kernels occupy a part of the GPU each, and a graph repeats one after the other unless it has branches.
Outside a capture, everything runs in order: there the CPU's launches limit the step, and a branch's memory is its own.
"""

from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor

_streams: dict[tuple[int, int], torch.cuda.Stream] = {}  # by device and number


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


def join_after_error() -> None:
    """Let the current stream, whose capture an error has ended, wait for branches that are still captured.

    A capture with an open branch cannot end, and PyTorch would then keep the capture's memory for itself.
    """
    current = torch.cuda.current_stream()
    for stream in _streams.values():
        with suppress(RuntimeError), torch.cuda.stream(stream):  # CUDA may have given up the capture already
            if torch.cuda.is_current_stream_capturing():
                current.wait_stream(stream)


def _stream(device: int, number: int) -> torch.cuda.Stream:
    if (device, number) not in _streams:
        _streams[device, number] = torch.cuda.Stream(device)
    return _streams[device, number]
