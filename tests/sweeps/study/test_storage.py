"""Storages: which URLs are accepted, and how a database is locked and waited for."""

import os
import shutil
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from sweeps.base.environment import ORDERS
from sweeps.base.errors import SweepError
from sweeps.job.current_trial import RunningTrial
from sweeps.study import outage, storage
from sweeps.study.lookup import open_made
from sweeps.study.storage import absolute_url, exclusive, open_storage
from tests.users import as_nobody, public_folder


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_url("sqlite:///sweeps.db") == f"sqlite:///{tmp_path}/sweeps.db"


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("sweeps.db", "storage=sweeps.db is not a storage URL: it must be sqlite:///FILE.db or postgresql"),
        ("redis://localhost", "storage=redis://localhost is not supported: it must be sqlite:///FILE.db"),
        ("mysql://u:secret@host/db", r"storage=mysql://u:\*\*\*@host/db is not supported"),
        ("postgresql://u:secret@host:no/db", r"storage=postgresql://u:\*\*\*@host:no/db is not a storage URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///no/such/place.db", "there is no directory .*/no/such"),
        ("sqlite:///directory", "is a directory"),
    ],
)
def test_unusable_storages_are_refused(
    storage: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "directory").mkdir()
    with pytest.raises(SweepError, match=message):
        absolute_url(storage)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but long enough to look at" * 100)
    with pytest.raises(SweepError, match=r"text\.db cannot be used: file is not a database"):
        open_storage(f"sqlite:///{tmp_path}/text.db")


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_cut_database_is_one_message_and_stays_as_it_is(tmp_path: Path, share: float) -> None:
    whole = RDBStorage(f"sqlite:///{tmp_path}/whole.db")
    study = optuna.create_study(storage=whole)
    for number in range(50):
        study.add_trial(optuna.create_trial(value=number, user_attrs={"words": "x" * 1000}))
    whole.engine.dispose()
    content = (tmp_path / "whole.db").read_bytes()
    cut = tmp_path / "cut.db"
    cut.write_bytes(content[: int(share * len(content))])
    before = cut.read_bytes()
    with pytest.raises(SweepError, match=r"cut\.db (is damaged|cannot be used)"):
        open_storage(f"sqlite:///{cut}")
    assert cut.read_bytes() == before


def test_sqlite_is_set_for_several_processes(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/s.db")
    with storage.engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("PRAGMA synchronous")).scalar() == 1  # NORMAL
        assert connection.execute(sqlalchemy.text("PRAGMA busy_timeout")).scalar() == 60_000
    with sqlite3.connect(tmp_path / "s.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_lock_excludes(tmp_path: Path) -> None:
    url, order = f"sqlite:///{tmp_path}/s.db", []

    def second() -> None:
        with exclusive(url):
            order.append("second")

    with exclusive(url):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_another_program_may_create_the_tables_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CREATION", 60.0)  # on a loaded machine, the other one may need longer than usual
    for number in range(10):
        url, barrier = f"sqlite:///{tmp_path}/{number}.db", threading.Barrier(2)

        def dashboard(url: str = url, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            with suppress(SQLAlchemyError):
                RDBStorage(url)

        thread = threading.Thread(target=dashboard)
        thread.start()
        barrier.wait()
        assert open_storage(url).get_all_studies() == []
        thread.join()


def test_a_connection_waits_until_another_program_has_written(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.execute("BEGIN IMMEDIATE")
        end = threading.Timer(0.2, other.execute, ["COMMIT"])
        end.start()
        with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
            storage._set_pragmas(connection, None)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        end.join()


@pytest.mark.parametrize("log", [("",), ("", "-wal", "-shm"), ("", "-wal")])
def test_a_file_that_cannot_be_written_is_read(log: tuple[str, ...], tmp_path: Path) -> None:
    """Also its log, which has the newest study, with and without SQLite's file for the log's index."""
    made = open_storage(f"sqlite:///{tmp_path}/s.db")
    made.create_new_study([StudyDirection.MINIMIZE], "old")
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        made.create_new_study([StudyDirection.MINIMIZE], "new")  # while a connection is open, it stays in the log
        with public_folder() as folder:
            for part in log:
                shutil.copy(f"{tmp_path}/s.db{part}", f"{folder}/a b.db{part}")
            url, before = f"sqlite:///{folder}/a b.db", sorted(os.listdir(folder))
            with as_nobody():
                with pytest.raises(SweepError, match=r"a b\.db cannot be written: .* is read-only"):
                    absolute_url(url)
                assert optuna.get_all_study_names(open_made(url)) == ["old", "new"][: len(log)]
            assert sorted(os.listdir(folder)) == before


def test_what_no_wait_ends_is_one_message_at_once(tmp_path: Path) -> None:
    """The error of two trials with one number, as somebody's own SQL may leave them."""
    url = f"sqlite:///{tmp_path}/s.db"
    study = optuna.create_study(storage=open_storage(url), study_name="s")
    for _ in range(2):
        study.add_trial(optuna.create_trial(value=1.0))
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection, connection:
        connection.execute("UPDATE trials SET number = 0")
    trial = RunningTrial(url, "s", 0, None)
    with pytest.raises(SweepError, match=r"cannot be used: Multiple rows were found.*changed its rows, put a copy in"):
        trial.overrides()


def test_a_command_waits_for_a_locked_database(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/s.db")
    locker = sqlite3.connect(tmp_path / "s.db", isolation_level=None, check_same_thread=False)
    locker.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(1.0, lambda: locker.execute("ROLLBACK"))
    release.start()
    study = storage.create_new_study([StudyDirection.MINIMIZE], "s")
    release.join()
    assert storage.get_study_name_from_id(study) == "s"


def test_a_worker_waits_for_the_database_that_its_leader_has_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, connect, errors = f"sqlite:///{tmp_path}/s.db", storage._connect, ["too many connections"] * 3

    def refused_at_first(*arguments: Any, **settings: Any) -> RDBStorage:
        if errors:
            raise OperationalError("SELECT", None, OSError(errors.pop()))
        return connect(*arguments, **settings)

    monkeypatch.setattr(outage, "RETRY", 0.02)
    monkeypatch.setattr(storage, "_connect", refused_at_first)
    with pytest.raises(SweepError, match=r"s\.db cannot be used: too many connections"):
        open_storage(url)
    assert len(errors) == 2
    monkeypatch.setenv(ORDERS, "{}")
    assert open_storage(url).get_all_studies() == []
    assert errors == []
