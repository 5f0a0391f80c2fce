"""What came out of one job: an objective, or a reason why there is none."""

import math
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn

MAX_REASON = 300  # characters
TRACEBACK_FILE = "error.txt"  # in the run directory of a failed trial


@dataclass(frozen=True)
class Outcome:
    """The end of a job; exactly one of `value` and `reason` is None."""

    value: float | None
    reason: str | None
    run_dir: str | None  # None where the job did not get so far


def outcome_of(job: JobReturn) -> Outcome:
    """Read a finished job; of a failed one the traceback is written into its run directory."""
    run_dir = None if job.hydra_cfg is None else str(job.hydra_cfg.hydra.runtime.output_dir)
    returned = job._return_value  # the public property raises the job's exception again
    _write_traceback(run_dir, returned)
    if isinstance(returned, BaseException):
        return Outcome(None, reason_of(returned), run_dir)
    value, reason = objective(returned)
    return Outcome(value, reason, run_dir)


def objective(returned: Any) -> tuple[float | None, str | None]:
    """A job's return value as a finite number, or why it is none."""
    try:
        if isinstance(returned, bool | str):
            raise TypeError
        value = float(returned)
    except (TypeError, ValueError, RuntimeError):
        return None, f"TypeError: the objective must be a number, not {returned!r:.100} ({type(returned).__name__})"
    if not math.isfinite(value):
        return None, f"ValueError: the objective must be finite, not {value}"
    return value, None


def reason_of(error: BaseException) -> str:
    """An exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:MAX_REASON]


def _write_traceback(run_dir: str | None, returned: Any) -> None:
    """Write a failure's traceback; where there is none, remove that of an earlier attempt."""
    if run_dir is None or not Path(run_dir).is_dir():
        return
    path = Path(run_dir, TRACEBACK_FILE)
    if isinstance(returned, BaseException):
        path.write_text("".join(traceback.format_exception(returned)))
    else:
        path.unlink(missing_ok=True)
