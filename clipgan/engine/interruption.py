"""SIGTERM and SIGINT in a training: the running step ends, a checkpoint is written, then the process ends.

A cluster that preempts a job sends SIGTERM (Slurm sends SIGKILL some 30 s later); a user presses Ctrl-C.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from clipgan.base.distributed import any_process, world_size
from clipgan.base.errors import Interrupted

ENDING = "this training stops after its step; Ctrl-C: at once"
OF_LAUNCHERS = ("SIGUSR1", "SIGUSR2")  # a scheduler announces the end by them; heeded where a launcher heeds them


class Interruption:
    """The signal that asks a training to stop, if one came.

    `check` raises the first signal; inside `interruptible` it is raised at once. A Ctrl-C after it ends the program as
    it would without this class, mostly by KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.silent = False  # while a live view shows the signal: a printed line would shift the view
        self._interruptible = False
        self._before: dict[signal.Signals, Any] = {}  # the program's own handlers

    def check(self) -> None:
        """
        Raises:
            Interrupted: a signal has come.
        """
        if self.signal is not None:
            raise Interrupted(self.signal.name)

    def check_together(self) -> None:
        """The same for all processes of a training, which end at the same step.

        Raises:
            Interrupted: a signal has come to one of them at least.
        """
        if any_process(self.signal is not None):
            raise Interrupted("a signal to another process" if self.signal is None else self.signal.name)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A block that is repeated when the run goes on, so that a signal need not wait for its end.

        Raises:
            Interrupted: a signal came, in the block or before it.
        """
        if world_size() > 1:  # one process must not leave the others waiting: all stop after the block
            self.check_together()
            yield
            self.check_together()
            return
        self._interruptible = True
        try:
            self.check()
            yield
        finally:
            self._interruptible = False
        self.check()  # a library may have swallowed the exception

    @contextmanager
    def heeding(self) -> Iterator[None]:
        """Heed the signals while the block lasts. At its end a signal that came is raised again for the program around.

        A sweep, for example, has a handler of its own, and stops as well.
        """
        if threading.current_thread() is not threading.main_thread():  # where Python allows no handler
            yield
            return
        names = ["SIGTERM", "SIGINT", *(name for name in OF_LAUNCHERS if hasattr(signal, name))]
        for name in names:
            number = signal.Signals[name]
            before = signal.getsignal(number)
            if before not in (signal.SIG_IGN, None) and (name not in OF_LAUNCHERS or callable(before)):
                self._before[number] = signal.signal(number, self._heed)
        try:
            yield
        finally:
            self._restore()
            if self.signal is not None and _is_heeded(self._before[self.signal]):
                signal.raise_signal(self.signal)

    def _heed(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            if number == signal.SIGINT:  # schedulers and launchers may each send a SIGTERM; both have SIGKILL too
                self._restore()
                signal.raise_signal(number)
            return
        self.signal = signal.Signals(number)
        if not self.silent:
            with suppress(OSError):  # the signal may have interrupted a print: another one could fail
                os.write(2, f"{self.signal.name}: {ENDING}\n".encode())
        if self._interruptible:
            self.check()

    def _restore(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)


def _is_heeded(handler: Any) -> bool:
    """Whether the program has a handler of its own, beside Python's default one, which only raises."""
    return callable(handler) and handler is not signal.default_int_handler
