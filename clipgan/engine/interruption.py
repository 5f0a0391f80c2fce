"""SIGTERM and SIGINT in a training: the step under way ends, a checkpoint is written, then the process goes.

A cluster that preempts a job sends SIGTERM (Slurm: and SIGKILL some 30 s later), a user presses Ctrl-C.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from clipgan.base.distributed import any_of, world_size
from clipgan.base.errors import Interrupted

ENDING = "this training stops after its step; Ctrl-C: at once"
OF_LAUNCHERS = ("SIGUSR1", "SIGUSR2")  # a scheduler's announcement of the end, where something in this process heeds it


class Interruption:
    """The signal that asks a training to stop, if one came.

    The first one is remembered for `check`, or raised while `at_once` lasts. A Ctrl-C after it goes to whom it would
    have gone without this: mostly KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.silent = False  # while a live view says it: a line in between would shift that
        self._at_once = False
        self._before: dict[signal.Signals, Any] = {}

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
        if any_of(self.signal is not None):
            raise Interrupted("a signal to another process" if self.signal is None else self.signal.name)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What the block does is done again later: a signal need not wait for its end.

        Raises:
            Interrupted: a signal came, now or before the block.
        """
        if world_size() > 1:  # one process must not leave the others waiting: all of them stop after the block
            self.check_together()
            yield
            self.check_together()
            return
        self._at_once = True
        try:
            self.check()
            yield
        finally:
            self._at_once = False
        self.check()  # a library may have swallowed what was raised

    @contextmanager
    def heeding(self) -> Iterator[None]:
        """Heed the signals while the block lasts; one that came is handed on at its end, as far as anyone heeds it."""
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
            if self.signal is not None:
                self._hand_on(self.signal)

    def _heed(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            if number == signal.SIGINT:  # schedulers and launchers may each send their SIGTERM; they have SIGKILL
                self._restore()
                signal.raise_signal(number)
            return
        self.signal = signal.Signals(number)
        if not self.silent:
            with suppress(OSError):  # not by print, which the signal may have interrupted
                os.write(2, f"{self.signal.name}: {ENDING}\n".encode())
        if self._at_once:
            self.check()

    def _restore(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _hand_on(self, number: signal.Signals) -> None:
        """To a handler of the program around this, such as a sweep's; not to Python's own, which only raises."""
        handler: Callable[[int, FrameType | None], Any] | Any = self._before[number]
        if callable(handler) and handler is not signal.default_int_handler:
            handler(number, None)
