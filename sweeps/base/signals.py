"""Stop a process of a sweep on a signal, or when its parent ends."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

PR_SET_PDEATHSIG = 1


TERMINATING = [signal.Signals[name] for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # HUP: ssh dropped


class Stopped(SystemExit):
    """A signal came that ends the process. The exit status is 143 for SIGTERM and 129 for SIGHUP, as in a shell."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class Stop:
    """The signal that asks this process to stop, if one came.

    An exception from a signal handler may get lost: a library that is cleaning up may raise another one, and a callback
    of C drops it. So this class remembers the signal, and `check` raises it again.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def check(self) -> None:
        """Raise `Stopped` if SIGTERM or SIGHUP has come, and KeyboardInterrupt if SIGINT has come."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise Stopped(self.signal)

    @contextmanager
    def catching_signals(self) -> Iterator[None]:
        """Catch SIGTERM, SIGHUP and SIGINT while the block runs; the last two only if this process heeds them.

        A shell lets background commands ignore SIGINT, and `nohup` lets a command ignore SIGHUP. While this process
        stops, only Ctrl-C counts again: Slurm sends SIGTERM several times to each process of a job.
        """

        def heed(number: int, _frame: FrameType | None) -> None:
            if self.signal is not None and number != signal.SIGINT:
                return
            self.signal = number
            _held.back = self
            if not _held.blocks:
                heed_now()

        if threading.current_thread() is not threading.main_thread():  # Python allows no handler here
            yield
            return
        before = {number: signal.getsignal(number) for number in (*TERMINATING, signal.SIGINT)}
        for number, handler in before.items():
            if number == signal.SIGTERM or handler is not signal.SIG_IGN:
                signal.signal(number, heed)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass
class _Held:
    blocks: int = 0  # of `held` that the main thread is in
    back: Stop | None = None  # has a signal whose exception is due


_held = _Held()


@contextmanager
def held() -> Iterator[None]:
    """Hold back a caught signal while the block runs; its exception comes at the end of the outermost such block.

    A database call needs this: SQLAlchemy and SQLite do not expect an exception between any two lines. An interrupted
    one leaves a session half-way in a transaction, or a statement that is open, and the next call fails.
    """
    if threading.current_thread() is not threading.main_thread():  # no signal interrupts it
        yield
        return
    _held.blocks += 1
    try:
        yield
    finally:
        _held.blocks -= 1
        if not _held.blocks:
            heed_now()


def heed_now() -> None:
    """Raise the exception of a signal that was held back: for a place where the process waits inside of `held`."""
    if _held.back is not None and threading.current_thread() is threading.main_thread():
        stop, _held.back = _held.back, None
        stop.check()


def end_with_main_thread(seconds: float, status: Callable[[], int]) -> None:
    """End this process some seconds after its main thread: a thread that a job has left would keep it alive.

    Args:
        seconds: that such a thread may take.
        status: gives the exit status.
    """

    def end() -> None:
        threading.main_thread().join()
        time.sleep(seconds)
        os._exit(status())

    threading.Thread(target=end, daemon=True).start()


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent dies; end now if the parent is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)
