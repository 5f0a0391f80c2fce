"""The result of a job: its objectives, or the reason why it has none."""

import contextlib
import errno
import io
import shutil
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from clipgan.base.out_of_memory import is_out_of_memory
from clipgan.base.secrets import without_passwords
from sweeps.job.objectives import NoObjectiveError, NotFiniteError, objectives
from sweeps.job.task_function import Exited, PermanentFailure, Preempted

MAX_REASON = 300  # characters
TRACEBACK_FILE = "error.txt"  # in the run directory of a failed trial
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
FULL = 2**16  # bytes; with less free space, a failure counts as `disk full`, whatever error a library has raised


@dataclass(frozen=True)
class JobResult:
    """The end of a job."""

    state: str  # COMPLETE | PRUNED | FAIL
    values: tuple[float, ...] = ()  # the objectives of a complete job; empty if the sweep does not need them
    reason: str | None = None  # reason of a failure
    run_dir: str | None = None  # None if the job ended before it had one
    crashed: bool = False  # the job raised an exception; another attempt may succeed
    preempted: bool = False  # the job asks to continue later


def result_of(
    job: JobReturn,
    names: Sequence[str] = ("value",),
    kept: Mapping[str, Any] | None = None,
    needs_number: bool = True,
) -> JobResult:
    """Read a finished job, and write the traceback of a failed job into its run directory.

    Args:
        job: the launcher's return value.
        names: names of the objectives.
        kept: values that the job has set on its trial.
        needs_number: whether a job without an objective has failed; if not, it is complete and has no values.
    """
    from optuna import TrialPruned

    run_dir = None if job.hydra_cfg is None else str(job.hydra_cfg.hydra.runtime.output_dir)
    returned = _returned(job)
    if isinstance(returned, Preempted):
        return JobResult("FAIL", reason=str(returned) or "preempted", run_dir=run_dir, preempted=True)
    pruned = isinstance(returned, TrialPruned)
    _write_traceback(run_dir, None if pruned else returned)
    _forget_frames(returned)
    if pruned:
        return JobResult("PRUNED", run_dir=run_dir)
    if isinstance(returned, BaseException):
        return failure(returned, run_dir)
    try:
        return JobResult("COMPLETE", objectives(returned, names, kept or {}), run_dir=run_dir)
    except NoObjectiveError as error:
        if not needs_number and not isinstance(error, NotFiniteError):
            return JobResult("COMPLETE", run_dir=run_dir)
        return JobResult("FAIL", reason=str(error), run_dir=run_dir)


def _returned(job: JobReturn) -> Any:
    """Return the job's return value, or the exception that it raised."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # Hydra writes a line there before it raises again
            return job.return_value
    except BaseException as error:
        return error.with_traceback(_without_first(error.__traceback__, 2))  # frames of this call and of the property


def _without_first(trace: TracebackType | None, count: int) -> TracebackType | None:
    """Leave frames out of a traceback; a local variable of one of these frames would hold them in a cycle."""
    for _ in range(count):
        trace = None if trace is None else trace.tb_next
    return trace


def failure(error: BaseException, run_dir: str | None) -> JobResult:
    """Make the result of a job that raised an exception, or that the launcher could not run."""
    hopeless = isinstance(error, PermanentFailure | HydraException | OmegaConfBaseException)
    return JobResult("FAIL", reason=reason_of(error, run_dir), run_dir=run_dir, crashed=not hopeless)


def reason_of(error: BaseException, run_dir: str | None = None) -> str:
    """Describe an exception in one line, which begins with `out of memory` or `disk full` if this is the cause.

    Args:
        error: the exception that the job raised.
        run_dir: the job's directory; its disk is checked, because torch hides a full disk.
    """
    text = str(error) if isinstance(error, Exited | PermanentFailure) else f"{type(error).__name__}: {error}"
    line = without_passwords(" ".join(f"{_kind(error, run_dir)}{text}".split()))[:MAX_REASON]
    return line.encode("utf-8", "backslashreplace").decode()  # a file name may hold bytes that are not text


def _kind(error: BaseException, run_dir: str | None) -> str:
    causes = list(_chain(error))
    if any(map(is_out_of_memory, causes)):
        return "out of memory: "
    if any(isinstance(cause, OSError) and cause.errno in NO_SPACE for cause in causes) or _is_full(run_dir):
        return "disk full: "
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, its cause, the cause's cause, ..."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _forget_frames(returned: Any) -> None:
    """Drop the tracebacks of an exception: they hold all that the job had in memory, and the sweep keeps it."""
    left, seen = [returned], set[int]()
    while left:
        error = left.pop()
        if isinstance(error, BaseException) and id(error) not in seen:
            seen.add(id(error))
            error.__traceback__ = None
            left += [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]


def _is_full(run_dir: str | None) -> bool:
    return run_dir is not None and Path(run_dir).is_dir() and shutil.disk_usage(run_dir).free < FULL


def _write_traceback(run_dir: str | None, returned: Any) -> None:
    """Write a failure's traceback if the disk has room; after a success, remove the traceback of an earlier attempt."""
    if run_dir is None or not Path(run_dir).is_dir():
        return
    path = Path(run_dir, TRACEBACK_FILE)
    try:
        if isinstance(returned, BaseException):
            text = without_passwords("".join(traceback.format_exception(returned)))
            path.write_text(text, "utf-8", "backslashreplace")
        else:
            path.unlink(missing_ok=True)
    except OSError:  # the trial keeps the reason anyway
        pass
