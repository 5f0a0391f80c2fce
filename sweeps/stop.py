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
    """SIGTERM came; the status is a shell's for it."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@contextmanager
def stopping_on_sigterm() -> Iterator[None]:
    """Raise `Stopped` on SIGTERM, as Python raises KeyboardInterrupt on SIGINT."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    if threading.current_thread() is not threading.main_thread():  # where Python allows no handler
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent dies; where it has died already, end now."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)
