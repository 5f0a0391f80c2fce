"""Wait while no database answers, and tell in one message what no wait ends."""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy import exc
from sqlalchemy.exc import SQLAlchemyError

from clipgan.base.secrets import without_passwords
from clipgan.base.text import first_line
from sweeps.base.errors import SweepError
from sweeps.base.signals import heed_now, held

OUTAGE = 60.0  # seconds without an answer of the database, after which the sweep ends
RETRY = 0.5  # seconds between two tries to reach it
PASSING = (exc.DBAPIError, exc.TimeoutError, exc.PendingRollbackError)  # errors that may end while a process waits ...
LASTING = (exc.DataError, exc.IntegrityError, exc.ProgrammingError)  # ... apart from these
NOT_FOUND = ("Record does not exist.",)  # arguments of Optuna's KeyError, where a study or trial has gone
NO_RIGHT = "42501"  # PostgreSQL's code of an error


P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class _Silence:
    since: float | None = None  # monotonic time of the first call of `patient` that had no answer; None: it answers


_silence = _Silence()


def patient(method: Callable[P, T]) -> Callable[P, T]:
    """Repeat a method's call for a while if no database answers: servers restart, and a full disk gets room again.

    Repetition must be harmless.

    Raises:
        SweepError: no database has answered any call of this process for `OUTAGE` seconds, and later calls do not wait;
            or the database answers with an error that no wait ends.
    """

    @functools.wraps(method)
    def insisting(*args: P.args, **kwargs: P.kwargs) -> T:
        while True:
            try:
                with held(), telling_deletion():
                    answer = method(*args, **kwargs)
                _silence.since = None
                return answer
            except (StorageInternalError, SQLAlchemyError) as error:
                if not _may_pass(error):
                    raise _refusal(error) from error
                _silence.since = _silence.since or time.monotonic()
                if time.monotonic() > _silence.since + OUTAGE:
                    raise SweepError(
                        f"hydra.sweeper.storage has not answered for {OUTAGE:.0f} s ({_said(error)}); run the same"
                        " command again when it does"
                    ) from error
                heed_now()
                time.sleep(RETRY)

    return insisting


@contextmanager
def telling_deletion() -> Iterator[None]:
    """Turn Optuna's answer about a study that is not there into one message: another tool may delete one that runs.

    Raises:
        SweepError: the block has had this answer.
    """
    try:
        yield
    except KeyError as error:
        if error.args != NOT_FOUND:
            raise
        raise SweepError(
            "the study is no longer in hydra.sweeper.storage: somebody has deleted it; the run directories stay, and"
            " the same command begins the study anew with the checkpoints in them"
        ) from error


@contextmanager
def telling_database_errors() -> Iterator[None]:
    """Turn an error of the database into one message: for a whole command, whose calls do not all wait.

    Raises:
        SweepError: the block has raised such an error.
    """
    try:
        with telling_deletion():
            yield
    except (StorageInternalError, SQLAlchemyError) as error:
        if not _may_pass(error):
            raise _refusal(error) from error
        raise SweepError(
            f"hydra.sweeper.storage does not answer ({_said(error)}); run the same command again when it does"
        ) from error


def _may_pass(error: Exception) -> bool:
    cause = _cause(error)
    return isinstance(cause, PASSING) and not isinstance(cause, LASTING)


def _refusal(error: Exception) -> SweepError:
    driver: Any = getattr(_cause(error), "orig", None)
    if NO_RIGHT in (getattr(driver, "sqlstate", None), getattr(driver, "pgcode", None)):  # psycopg, psycopg2
        return SweepError(
            f"hydra.sweeper.storage cannot be written: {without_passwords(first_line(driver))}; the URL's user needs"
            " the rights SELECT, INSERT, UPDATE and DELETE on all tables there, and USAGE on all sequences"
        )
    return SweepError(
        f"hydra.sweeper.storage cannot be used: {_said(error)}; if somebody has changed its rows, put a copy in its"
        " place, or give another hydra.sweeper.study_name"
    )


def _said(error: Exception) -> str:
    return without_passwords(first_line(_cause(error)))


def _cause(error: Exception) -> BaseException:
    """Return what SQLAlchemy has raised; Optuna hides it behind an error of its own."""
    return error.__cause__ or error if isinstance(error, StorageInternalError) else error
