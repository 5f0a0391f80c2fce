"""How a process of a sweep is stopped, and how it ends with its parent."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PR_SET_PDEATHSIG = 1


class Stopped(SystemExit):
    """SIGTERM came. The exit status is the one that a shell gives for it."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class Stop:
    """The signal that asks this process to stop, if one came.

    What a handler raises may be lost: a library that is interrupted in the middle of its own clean-up raises something
    else, and in a callback of C an exception goes nowhere. So the signal is remembered, and `check` raises it again.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def check(self) -> None:
        """Raise `Stopped` or KeyboardInterrupt where SIGTERM or SIGINT has come."""
        if self.signal == signal.SIGTERM:
            raise Stopped
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt

    @contextmanager
    def catching_signals(self) -> Iterator[None]:
        """Catch SIGTERM and SIGINT while the block lasts; SIGINT only if this process does not ignore it."""

        def heed(number: int, _frame: FrameType | None) -> None:
            self.signal = number
            self.check()

        if threading.current_thread() is not threading.main_thread():  # where Python allows no handler
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        signal.signal(signal.SIGTERM, heed)
        if before[signal.SIGINT] is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, heed)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent dies; end now if the parent is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)
