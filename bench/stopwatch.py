"""Measure exclusive time: at any moment, the time counts for exactly one stage and one part of it."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Stopwatch:
    """Seconds by (stage, part). Nested time does not count for the outer block, so the seconds add up to the total."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """
        Args:
            clock: returns seconds; on a GPU, it must wait until all launched kernels have ended.
        """
        self.clock = clock
        self.seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._stages, self._parts = ["other"], ["other"]
        self._since = clock()
        self._thread = threading.get_ident()

    @contextmanager
    def timing(self, *, stage: str | None = None, part: str | None = None) -> Iterator[None]:
        """Count the block's time for a stage, a part, or both; None keeps the outer block's name."""
        if threading.get_ident() != self._thread:  # other threads' work takes no time of the loop
            yield
            return
        self._settle()
        self._stages.append(stage or self._stages[-1])
        self._parts.append(part or self._parts[-1])
        try:
            yield
        finally:
            self._settle()
            self._stages.pop()
            self._parts.pop()

    def turn_to(self, part: str) -> None:
        """Count the rest of the innermost block for another part.

        A gradient's hook calls this. On a GPU, it runs in a thread of autograd, and the loop waits for this thread.
        """
        self._settle()
        self._parts[-1] = part

    def timed(self, function: Callable[..., Any], **names: str) -> Callable[..., Any]:
        """Wrap `function`: its time counts for `stage=` or `part=`, as in `timing`."""

        def call(*args: Any, **kwargs: Any) -> Any:
            with self.timing(**names):
                return function(*args, **kwargs)

        return call

    @property
    def stage(self) -> str:
        """The name that is being timed."""
        return self._stages[-1]

    @property
    def part(self) -> str:
        """The name that is being timed."""
        return self._parts[-1]

    def _settle(self) -> None:
        now = self.clock()
        self.seconds[self._stages[-1], self._parts[-1]] += now - self._since
        self._since = now
