"""Prefetching: a thread gathers the next batch and starts its copies to the GPU while the GPU computes."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from clipgan.inputs.batches.batches import Batch


class Source(Protocol):
    """A source of batches by step."""

    def at(self, step: int) -> Batch:
        """Return the batch of a step (0, 1, ...)."""
        ...


class Prefetched:
    """A source that makes the next step's batch ahead of time; any other step's batch is made on request."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: tuple[int, Future[Batch]] | None = None

    def at(self, step: int) -> Batch:
        """Return the batch of a step, as in `Source`; an error in the thread is raised here."""
        ahead = self._next if self._next and self._next[0] == step else None
        future = ahead[1] if ahead else self._thread.submit(self._source.at, step)
        self._next = (step + 1, self._thread.submit(self._source.at, step + 1))
        return future.result()
