"""Exclusive time: at any moment exactly one stage and one part of it are being timed."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Stopwatch:
    """Seconds by (stage, part). What is nested is taken out of what surrounds it, so that all of them add up."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """
        Args:
            clock: seconds; on a GPU one that waits for what has been launched.
        """
        self.clock = clock
        self.seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._stages, self._parts = ["other"], ["other"]
        self._since = clock()
        self._thread = threading.get_ident()

    @contextmanager
    def timing(self, *, stage: str | None = None, part: str | None = None) -> Iterator[None]:
        """Charge the block to a stage, a part, or both; None keeps the surrounding one."""
        if threading.get_ident() != self._thread:  # what another thread does meanwhile takes none of the loop's time
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
        """Charge the rest of the innermost block to another part.

        A gradient's hook calls it, on a GPU in a thread of autograd's, for which the loop waits meanwhile.
        """
        self._settle()
        self._parts[-1] = part

    def timed(self, function: Callable[..., Any], **names: str) -> Callable[..., Any]:
        """`function`, charged to `stage=` or `part=` as `timing` does."""

        def call(*args: Any, **kwargs: Any) -> Any:
            with self.timing(**names):
                return function(*args, **kwargs)

        return call

    @property
    def stage(self) -> str:
        """The one that is being timed."""
        return self._stages[-1]

    @property
    def part(self) -> str:
        """The one that is being timed."""
        return self._parts[-1]

    def _settle(self) -> None:
        now = self.clock()
        self.seconds[self._stages[-1], self._parts[-1]] += now - self._since
        self._since = now
