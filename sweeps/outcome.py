"""What came out of one job: an objective, or a reason why there is none."""

import errno
import math
import shutil
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from sweeps.job import Exited, Preempted

MAX_REASON = 300  # characters
TRACEBACK_FILE = "error.txt"  # in the run directory of a failed trial
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
FULL = 2**16  # bytes; with less room than that no file can be written, whatever error a library makes of it


@dataclass(frozen=True)
class Outcome:
    """The end of a job; exactly one of `value` and `reason` is None."""

    value: float | None
    reason: str | None
    run_dir: str | None  # None where the job did not get so far
    crashed: bool = False  # it raised something, which another attempt might not
    preempted: bool = False  # it wants to go on later


def outcome_of(job: JobReturn) -> Outcome:
    """Read a finished job; of a failed one the traceback is written into its run directory."""
    run_dir = None if job.hydra_cfg is None else str(job.hydra_cfg.hydra.runtime.output_dir)
    returned = job._return_value  # the public property raises the job's exception again
    if isinstance(returned, Preempted):
        return Outcome(None, "preempted", run_dir, preempted=True)
    _write_traceback(run_dir, returned)
    if isinstance(returned, BaseException):
        return failure(returned, run_dir)
    value, reason = objective(returned)
    return Outcome(value, reason, run_dir)


def failure(error: BaseException, run_dir: str | None) -> Outcome:
    """An exception of a job, or of the launcher that could not run it; a mistake in the config is not tried again."""
    mistake = isinstance(error, HydraException | OmegaConfBaseException)
    return Outcome(None, reason_of(error, run_dir), run_dir, crashed=not mistake)


def objective(returned: Any) -> tuple[float | None, str | None]:
    """A job's return value as a finite number, or why it is none."""
    try:
        if isinstance(returned, bool | str):
            raise TypeError
        value = float(returned)
    except (TypeError, ValueError, RuntimeError):
        return None, f"TypeError: the objective must be a number, not {returned!r:.100} ({type(returned).__name__})"
    if not math.isfinite(value):
        return None, f"not finite: the objective is {value}"
    return value, None


def reason_of(error: BaseException, run_dir: str | None = None) -> str:
    """An exception in one line, after its kind where that is memory or disk.

    Args:
        error: what the job raised.
        run_dir: where it wrote; torch hides that a disk is full.
    """
    text = str(error) if isinstance(error, Exited) else f"{type(error).__name__}: {error}"
    return " ".join(f"{_kind(error, run_dir)}{text}".split())[:MAX_REASON]


def _kind(error: BaseException, run_dir: str | None) -> str:
    causes = list(_chain(error))
    if any(isinstance(cause, MemoryError) or type(cause).__name__ == "OutOfMemoryError" for cause in causes):
        return "out of memory: "
    if any(isinstance(cause, OSError) and cause.errno in NO_SPACE for cause in causes) or _is_full(run_dir):
        return "disk full: "
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_full(run_dir: str | None) -> bool:
    return run_dir is not None and Path(run_dir).is_dir() and shutil.disk_usage(run_dir).free < FULL


def _write_traceback(run_dir: str | None, returned: Any) -> None:
    """Write a failure's traceback, if the disk has room; where there is none, remove that of an earlier attempt."""
    if run_dir is None or not Path(run_dir).is_dir():
        return
    path = Path(run_dir, TRACEBACK_FILE)
    try:
        if isinstance(returned, BaseException):
            path.write_text("".join(traceback.format_exception(returned)))
        else:
            path.unlink(missing_ok=True)
    except OSError:  # the reason is kept with the trial
        pass
