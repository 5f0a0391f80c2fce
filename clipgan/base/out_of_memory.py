"""Recognise that memory has run out: on a CPU, PyTorch has no class of its own for it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from clipgan.base.errors import MemoryRanOutError
from clipgan.base.text import first_line

SAID = re.compile(  # by a RuntimeError: PyTorch's allocator of a CPU's memory, CUDA, its libraries
    r"can't allocate memory|not enough memory|CUDA error: out of memory|STATUS_ALLOC_FAILED"
)
PLACE = re.compile(r"^\[enforce fail at [^\]]*\] .*?\. ")  # in PyTorch's code, which begins its message
TRAINING = (  # what needs less memory in one
    "a smaller batch needs less, and so does accumulate=N (a training's step in N parts, which contrast as one with"
    " contrast.grad_cache=true), clip.grad_checkpointing=true, or a smaller metrics.batch"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says so: a MemoryError, PyTorch's error on a GPU, or a RuntimeError with such a message."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch need not be imported
        return True
    return isinstance(error, RuntimeError) and bool(SAID.search(first_line(error)))


@contextmanager
def told(remedy: str | None = None) -> Iterator[None]:
    """Turn the errors of a block that runs out of memory into a MemoryRanOutError of one line.

    Args:
        remedy: what needs less memory, for the end of the line.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        said = PLACE.sub("", first_line(error)) if str(error) else "no more can be allocated"
        raise MemoryRanOutError(f"out of memory: {said}" + (f"; {remedy}" if remedy else "")) from error
