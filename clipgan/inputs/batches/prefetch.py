"""Batches made ahead, while a GPU computes: a thread gathers the next one and starts its copies."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from clipgan.inputs.batches.batches import Batch


class Source(Protocol):
    """Where a step's batch comes from."""

    def at(self, step: int) -> Batch:
        """The batch of a step (0, 1, ...)."""
        ...


class Prefetched:
    """A source one step ahead of what it is asked for; a step out of turn is made when it is asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: tuple[int, Future[Batch]] | None = None

    def at(self, step: int) -> Batch:
        """See `Source`; what the thread raises is raised here."""
        ahead = self._next if self._next and self._next[0] == step else None
        future = ahead[1] if ahead else self._thread.submit(self._source.at, step)
        self._next = (step + 1, self._thread.submit(self._source.at, step + 1))
        return future.result()
