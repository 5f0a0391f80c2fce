"""What waits while no database answers, and what is one message."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.exc import OperationalError

from sweeps.base.errors import SweepError
from sweeps.points.search_space import Point
from sweeps.search.plan import Grid, Plan
from sweeps.study import outage, stored_study
from sweeps.study.claims import SweepStudy
from sweeps.study.outage import patient, telling_database_errors
from sweeps.study.queue import BATCH
from tests.sweeps import postgres as server
from tests.sweeps.sweep_app import REPOSITORY, App

IDENTITY = {"axes": ["h"], "config": {}}


def test_an_unreachable_database_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "OUTAGE", 0.1)
    monkeypatch.setattr(outage, "RETRY", 0.02)
    calls: list[int] = []

    def ask(limit: int) -> int:
        calls.append(limit)
        if len(calls) < limit:
            raise sqlalchemy.exc.OperationalError("SELECT", None, OSError("connection refused"))
        return len(calls)

    assert patient(ask)(3) == 3
    with pytest.raises(SweepError, match=r"has not answered for 0 s.*connection refused.*run the same command again"):
        patient(ask)(10**9)


def test_an_error_that_no_call_waits_for_is_one_message_without_a_password() -> None:
    lost = OperationalError("SELECT", None, OSError("no connection to postgresql://u:secret@host/db"))
    told = r"storage does not answer \(.*no connection to postgresql://u:\*\*\*@host/db\); run the same command"
    with pytest.raises(SweepError, match=told), telling_database_errors():
        raise lost


def test_a_new_study_waits_for_a_database_that_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also between Optuna's creation of the study and its first notes, without which it would be another tool's."""
    write, errors = stored_study.set_study_notes, ["connection lost"] * 2

    def lost_at_first(*arguments: Any) -> None:
        if errors:
            raise OperationalError("UPDATE", None, OSError(errors.pop()))
        write(*arguments)

    monkeypatch.setattr(outage, "RETRY", 0.02)
    monkeypatch.setattr(stored_study, "set_study_notes", lost_at_first)
    study = SweepStudy(f"sqlite:///{tmp_path}/s.db", "s", "minimize", IDENTITY, print)
    assert (study.base_name, errors) == ("s", [])


@pytest.mark.slow
def test_a_database_that_restarts_while_points_are_queued_costs_no_point(postgres: server.Server) -> None:
    values = [float(h) for h in range(2 * BATCH + 1)]
    plan = Plan(Grid([Point({"h": h}, (f"h={h}",)) for h in values]))
    study = SweepStudy(postgres.create("queueing"), "s", "minimize", IDENTITY, print)
    restarts: list[threading.Timer] = []

    def restart_at_first(_done: int, _total: int) -> None:
        if not restarts:
            postgres.control("stop")
            restarts.append(threading.Timer(1.0, postgres.control, ["start"]))
            restarts[0].start()

    study.enqueue(plan, {"h": values}, tell=restart_at_first)
    restarts[0].join()
    assert sorted(record.point["h"] for record in study.records()) == values


@pytest.fixture
def reader(postgres: server.Server, app: App) -> Iterator[str]:
    """The URL of a user who may only read the app's database, which has a study."""
    app.storage = postgres.create(app.cwd.name)
    app.run("h=0.5")
    engine = sqlalchemy.create_engine(app.storage, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE ROLE reader LOGIN"))
        connection.execute(sqlalchemy.text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"))
        yield app.storage.replace("sweeps@", "reader@")
        connection.execute(sqlalchemy.text("DROP OWNED BY reader; DROP ROLE reader"))
    engine.dispose()


@pytest.mark.slow
def test_a_user_who_may_only_read_learns_which_rights_are_missing(reader: str, app: App) -> None:
    name = app.study().study_name
    denied = "hydra.sweeper.storage cannot be written: permission denied for table stud"
    for command in (["rename", name, "new"], ["delete", name, "--yes"]):
        studies = [sys.executable, "-m", "sweeps.studies", *command, "--storage", reader]
        ended = subprocess.run(studies, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr.startswith(denied), "Traceback" in ended.stderr) == (1, True, False)
    app.storage = reader
    out = app.run("h=0.5", status=1)
    assert f"{denied}ies; the URL's user needs the rights SELECT, INSERT" in out
    assert "Traceback" not in out


@pytest.mark.slow
def test_what_no_call_of_a_command_waits_for_is_one_message_too(reader: str, app: App, postgres: server.Server) -> None:
    """A dry run only looks."""
    engine = sqlalchemy.create_engine(postgres.url(app.cwd.name), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("REVOKE SELECT ON trials FROM reader"))
    engine.dispose()
    app.storage = reader
    out = app.run("h=0.5", "hydra.sweeper.dry_run=true", status=1)
    assert "permission denied for table trials; the URL's user needs" in out
    assert "Traceback" not in out
