"""Open and lock the database of studies: SQLite by default, PostgreSQL for several hosts."""

import functools
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy
from filelock import FileLock, Timeout
from optuna import get_all_study_names
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from clipgan.base import lookup
from clipgan.base.secrets import remember, without_passwords
from clipgan.base.text import first_line
from sweeps.base.environment import DETACHED, ORDERS, STORAGE, TRIAL
from sweeps.base.errors import SweepError
from sweeps.base.signals import heed_now, held
from sweeps.study.outage import patient
from sweeps.study.read_only import can_be_written, connector
from sweeps.study.row_check import refuse_damage

LOCK_TIMEOUT = 60  # seconds that SQLite waits for another writer
LOCK_POLL = 0.002  # seconds between two tries to get SQLite's lock, which is held for some milliseconds
DRAW_POLL = 0.05  # the same for PostgreSQL's lock for draws, which may be held for seconds
CREATION = 5.0  # seconds that another program may take to create the tables
ADVISORY_LOCK = zlib.crc32(b"sweeps")  # PostgreSQL names its locks by number
DRAW_LOCK = zlib.crc32(b"draws")
ALLOWED = "sqlite:///FILE.db or postgresql://USER@HOST/DATABASE"


def absolute_url(storage: str, writes: bool = True) -> str:
    """Make the SQLite path of a storage URL absolute, so that a job in another working directory finds it too.

    Args:
        storage: the URL.
        writes: whether the caller writes: then the file must be writable.

    Raises:
        SweepError: not a URL, an unsupported scheme, or a database file that cannot be made or written.
    """
    try:
        url = make_url(storage)
    except (ArgumentError, ValueError) as error:  # ValueError: the port is not a number
        raise SweepError(
            f"hydra.sweeper.storage={without_passwords(storage)} is not a storage URL: it must be {ALLOWED}"
        ) from error
    remember(storage)
    backend = url.get_backend_name()
    shown = without_passwords(url.render_as_string())
    if backend not in ("sqlite", "postgresql"):
        raise SweepError(f"hydra.sweeper.storage={shown} is not supported: it must be {ALLOWED}")
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise SweepError(f"hydra.sweeper.storage={shown} names no file: a study must outlive its process")
        url = url.set(database=str(_file(Path(url.database), shown, writes)))
    return url.render_as_string(hide_password=False)


def is_made(url: str) -> bool:
    """Whether a database exists at an absolute URL. The check does not create an SQLite file."""
    path = sqlite_file(url)
    return path is None or (lookup.exists(path) and not is_emptied(url))


def is_emptied(url: str) -> bool:
    """Whether the SQLite file at an absolute URL is there and has no byte: it has lost its studies, if it had any."""
    path = sqlite_file(url)
    return path is not None and lookup.is_file(path) and path.stat().st_size == 0


def sqlite_file(url: str) -> Path | None:
    """The SQLite file at a URL; None for a server's database."""
    parsed = make_url(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


@functools.lru_cache
def open_storage(url: str) -> RDBStorage:
    """Open the Optuna storage at an absolute URL, once per process and URL; missing tables are created.

    An SQLite file that cannot be written is opened for reading, without a lock. Workers and jobs wait for a while if no
    database answers, as their leader has reached it; a command does not, as its URL may be wrong.

    Raises:
        SweepError: no database answers, the driver is missing, or the file is damaged or not a database of Optuna's.
    """
    opens = patient(_open) if _is_opened_elsewhere() else _open
    try:
        return opens(url)
    except (
        sqlite3.DatabaseError,
        SQLAlchemyError,
        StorageInternalError,
        NoSuchModuleError,
        ImportError,
        RuntimeError,
        LookupError,  # a name that Optuna does not know
        ValueError,
    ) as error:
        cause = first_line(getattr(error, "orig", None) or error.__cause__ or error)
        shown = without_passwords(make_url(url).render_as_string())
        raise SweepError(f"hydra.sweeper.storage={shown} cannot be used: {without_passwords(cause)}") from error


def _is_opened_elsewhere() -> bool:
    """Whether another process has opened the storage before: the leader of this worker, job or detached sweep."""
    return any(name in os.environ for name in (ORDERS, TRIAL, DETACHED))


def _open(url: str) -> RDBStorage:
    file = sqlite_file(url)
    options: dict[str, Any] = {"pool_pre_ping": True} if file is None else {"connect_args": {"timeout": LOCK_TIMEOUT}}
    connect: Callable[[], sqlite3.Connection] = functools.partial(sqlite3.connect, str(file), timeout=LOCK_TIMEOUT)
    reads = file is not None and is_made(url) and not can_be_written(file)
    if file is not None and reads:
        options["creator"] = connect = connector(file)
    with nullcontext() if reads else exclusive(url):  # two first users would collide on CREATE TABLE
        new = not is_made(url)
        if file is not None and not new:
            refuse_damage(str(file), connect)
        # this worker's or job's leader made it, with the same Optuna
        made = reads or os.environ.get(STORAGE) == url
        storage = _connect(url, engine_kwargs=options, skip_compatibility_check=made or new, skip_table_creation=made)
        if file is not None and not reads:
            sqlalchemy.event.listen(storage.engine, "connect", _set_pragmas)
            storage.engine.dispose()  # connections made before the listener
    if reads or not made:
        get_all_study_names(storage)  # another program's tables may have the same names
    return storage


def _connect(url: str, **settings: Any) -> RDBStorage:
    """Open a storage, also while a program without the lock, such as optuna-dashboard, creates its tables."""
    deadline = time.monotonic() + CREATION
    while True:
        try:
            return RDBStorage(url, **settings)
        except SQLAlchemyError as error:
            half_made = "already exists" in str(error) or isinstance(error, IntegrityError)
            if not half_made or time.monotonic() > deadline:
                raise
            time.sleep(LOCK_POLL)


@contextmanager
def exclusive(url: str) -> Iterator[None]:
    """Hold the lock of a storage: without it, SQLite gives one waiting trial to two processes. Not reentrant."""
    if (file := sqlite_file(url)) is not None:
        with held(), _file_lock(f"{file}.sweep.lock"):
            yield
        return
    with (
        held(),
        _lock_engine(make_url(url)).connect() as connection,
    ):  # whose transaction holds the lock
        connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        yield


@contextmanager
def drawing(url: str) -> Iterator[None]:
    """Let one process at a time find new points; the others use the storage meanwhile.

    Take the lock of `exclusive` inside of this block, never around it. Not reentrant.
    """
    file = sqlite_file(url)
    with held(), _draw_lock(make_url(url)) if file is None else _file_lock(f"{file}.draw.lock"):
        yield


@contextmanager
def _draw_lock(url: URL) -> Iterator[None]:
    with _lock_engine(url).connect() as connection:  # whose transaction holds the lock
        statement, key = sqlalchemy.text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": DRAW_LOCK}
        while not connection.execute(statement, key).scalar_one():
            connection.rollback()
            heed_now()
            time.sleep(DRAW_POLL)
        yield


@contextmanager
def _file_lock(path: str) -> Iterator[None]:
    lock = FileLock(path)
    while True:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            heed_now()
            time.sleep(LOCK_POLL)
        else:
            break
    try:
        yield
    finally:
        lock.release()


@functools.lru_cache
def _lock_engine(url: URL) -> sqlalchemy.Engine:
    """Keep connections for the lock, because a new connection costs as much as a claim."""
    return sqlalchemy.create_engine(url, pool_pre_ping=True)


def _set_pragmas(connection: Any, _record: Any) -> None:
    """Let SQLite read while another process writes, and keep a commit when its process dies."""
    cursor, deadline = connection.cursor(), time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:  # while another program writes, SQLite does not wait here
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(LOCK_POLL)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _file(path: Path, shown: str, writes: bool) -> Path:
    path = path.absolute()
    if not lookup.is_dir(path.parent):
        raise SweepError(f"hydra.sweeper.storage={shown} cannot be made: there is no directory {path.parent}")
    if lookup.is_dir(path):
        raise SweepError(f"hydra.sweeper.storage={shown} cannot be used: {path} is a directory")
    if writes and not can_be_written(path):
        raise SweepError(f"hydra.sweeper.storage={shown} cannot be written: {path} or its directory is read-only")
    return path
