"""Wrap the task function for launchers: a watchdog, an output file, and an `Exception` for each kind of failure."""

import functools
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.types import TaskFunction
from omegaconf import DictConfig

from sweeps.base.signals import Stopped
from sweeps.job.current_trial import current_trial

OUTPUT_FILE = "output.txt"  # in the run directory, if several workers share a terminal
REFUSED = 78  # exit status of a worker whose settings let no job run (EX_CONFIG of sysexits.h)
REQUEUE = 75  # exit status of a job that asks to continue later, as after a preemption (EX_TEMPFAIL of sysexits.h)


class Preempted(Exception):
    """The job ended with status `REQUEUE`."""


class Exited(Exception):
    """The job ended with another status, and so without an objective."""


class PermanentFailure(Exception):
    """Raised by a task function if another attempt would fail too, as with a setting that cannot work."""


@dataclass
class Job:
    """A task function that ends with a value or an `Exception`: every launcher returns these. It can be pickled.

    Callbacks see the name, module and docstring of the task function.
    """

    task_function: TaskFunction
    to_file: bool  # whether its output goes to `OUTPUT_FILE`

    def __post_init__(self) -> None:
        functools.update_wrapper(self, self.task_function, updated=())

    def __call__(self, config: DictConfig) -> Any:
        trial = current_trial()
        if trial is None:
            return self._run(config)
        from sweeps.job.watchdog import ending_with

        with ending_with(trial):
            return self._run(config)

    def _run(self, config: DictConfig) -> Any:
        try:
            with _raising_exit():
                if not self.to_file:
                    return self.task_function(config)
                with _output_to(Path(HydraConfig.get().runtime.output_dir, OUTPUT_FILE)):
                    return self.task_function(config)
        except Stopped:
            raise
        except SystemExit as end:
            if end.code == REQUEUE:
                raise Preempted from end
            raise Exited(f"the job ended with SystemExit({end.code!r}) and returned no objective") from end


@contextmanager
def _raising_exit() -> Iterator[None]:
    """Let `os._exit` in this process raise SystemExit, as `sys.exit` does: it would end the sweep without a word.

    In another thread it still ends the process, but never with status 0, which would say that the sweep has ended well.
    """
    end, process = os._exit, os.getpid()

    def exit_job(status: int) -> NoReturn:
        if os.getpid() != process:  # a forked child of the job
            end(status)
        if threading.current_thread() is not threading.main_thread():
            end(status or 1)
        raise SystemExit(status)

    os._exit = exit_job
    try:
        yield
    finally:
        os._exit = end


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Append stdout and stderr to a file, including the output of C libraries and child processes."""
    streams = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.flush()
    saved = [os.dup(descriptor) for descriptor in (1, 2)]
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.dup2(file, 1)
        os.dup2(file, 2)
        yield
    finally:
        for stream in streams:
            stream.flush()
        for descriptor, original in zip((1, 2), saved, strict=True):
            os.dup2(original, descriptor)
            os.close(original)
        os.close(file)
