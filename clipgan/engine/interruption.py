"""Handle SIGTERM, SIGINT and SIGHUP in a training: finish the step, write a checkpoint, end the process.

A cluster that preempts a job sends SIGTERM (Slurm sends SIGKILL some 30 s later); a user presses Ctrl-C, or closes the
terminal (SIGHUP; `nohup` ignores it). Output that nobody reads any more (`| head`) counts as SIGPIPE.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from clipgan.base.console import output
from clipgan.base.distributed import any_process, world_size
from clipgan.base.errors import Interrupted

ENDING = "this training stops after its step; Ctrl-C: at once"
OF_LAUNCHERS = ("SIGUSR1", "SIGUSR2")  # a scheduler's early warnings; caught only if a launcher catches them


class Interruption:
    """The signal that asks a training to stop, if one came.

    `check` raises `Interrupted` for the first signal; inside `interruptible`, the signal itself raises it. A Ctrl-C
    after the first signal ends the program as without this class, mostly by KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.silent = False  # a live view shows the signal, and a printed line would shift the view
        self._interruptible = False
        self._before: dict[signal.Signals, Any] = {}  # the program's own handlers

    def check(self) -> None:
        """Raise `Interrupted` if a signal has come."""
        if self.signal is not None:
            raise Interrupted(self.signal.name)

    def check_together(self) -> None:
        """Check in all processes of a training together, so that they end at the same step.

        Raises:
            Interrupted: at least one process has got a signal.
        """
        if any_process(self.signal is not None):
            raise Interrupted("a signal to another process" if self.signal is None else self.signal.name)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let a signal end the block at once; a resumed run repeats the whole block.

        Raises:
            Interrupted: a signal came before the block or inside it.
        """
        if world_size() > 1:  # one process must not leave the others waiting, so all stop after the block
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
        """Catch the signals while the block runs. At its end, send a caught signal again, to the surrounding program.

        For example, a sweep has its own handler and then stops too.
        """
        if threading.current_thread() is not threading.main_thread():  # Python allows no handler here
            yield
            return
        within = _is_heeded(signal.getsignal(signal.SIGTERM))  # a sweep, which prints itself
        names = ["SIGTERM", "SIGHUP", "SIGINT", *(name for name in OF_LAUNCHERS if hasattr(signal, name))]
        for name in names:
            number = signal.Signals[name]
            before = signal.getsignal(number)
            if before not in (signal.SIG_IGN, None) and (name not in OF_LAUNCHERS or callable(before)):
                self._before[number] = signal.signal(number, self._heed)
        output.when_lost = (lambda: None) if within else (lambda: self._note(signal.SIGPIPE))
        try:
            yield
        finally:
            output.when_lost = None
            self._restore()
            if self.signal is not None and _is_heeded(self._before.get(self.signal)):
                signal.raise_signal(self.signal)

    def _heed(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            if number == signal.SIGINT:  # schedulers and launchers may repeat SIGTERM, and have SIGKILL
                self._restore()
                signal.raise_signal(number)
            return
        heard = signal.Signals(number)
        self._note(heard)
        if not self.silent:
            with suppress(OSError):  # the signal may have interrupted a print: another one could fail
                os.write(2, f"{heard.name}: {ENDING}\n".encode())
        if self._interruptible:
            self.check()

    def _note(self, number: signal.Signals) -> None:
        self.signal = self.signal or number

    def _restore(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)


def _is_heeded(handler: Any) -> bool:
    """Whether the program has its own handler, other than Python's default handler, which only raises."""
    return callable(handler) and handler is not signal.default_int_handler
