"""Studies of version 0.1.0 can be read and continued."""

import sqlite3
from pathlib import Path

import optuna
import pytest

from sweeps.points.ranking import Goal
from sweeps.points.search_space import Point, Value
from sweeps.report.reading import read
from sweeps.search.plan import Grid, Plan
from sweeps.study.claims import SweepStudy
from sweeps.study.storage import open_storage
from sweeps.study.warm_start import complete_trials


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A study `s` of the axis h=a,b with two replicas, which got the value c and so went on as `s.2`."""
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.executescript(Path(__file__).with_name("version_0.1.0.sql").read_text())
    return f"sqlite:///{tmp_path}/s.db"


def plan(*names: Value) -> Plan:
    return Plan(Grid([Point({"h": name}, (f"h={name}",)) for name in names]), Goal(replicas=2), 0)


def test_it_goes_on_in_its_newest_copy_and_grows_there(url: str) -> None:
    said: list[str] = []
    study = SweepStudy(url, "s", "minimize", {"axes": ["h"], "config": {"batch": 16}}, said.append)
    assert (study.name, study.base_name, study.goal) == (
        "s.2",
        "s",
        Goal(aggregate="median", replicas=None, step_name="kimg"),
    )
    found = [(record.point["h"], record.replica, record.state, record.value) for record in study.records()]
    assert found == [
        ("a", 0, "COMPLETE", 3.0),
        ("b", 0, "FAIL", None),
        ("a", 1, "COMPLETE", 3.5),
        ("b", 1, "WAITING", None),
        ("c", 0, "COMPLETE", 2.0),
    ]
    study.enqueue(plan("b", "d"), {"h": ["b", "d"]}, ["FAIL"])
    assert said == ["study s.2 is extended: h=a,b,c,d"]
    claims = [study.claim(plan("b", "d")) for _ in range(5)]
    assert [(claim.run, claim.overrides) for claim in claims if claim] == [
        (1, ("h=b",)), (3, ("h=b", "seed=1")), (5, ("h=d",)), (6, ("h=d", "seed=1")),
    ]  # fmt: skip
    assert optuna.get_all_study_names(url) == ["s", "s.2"]


def test_it_is_read_by_reports_and_warm_starts(url: str) -> None:
    sweep = read(url, "s")
    assert (sweep.name, [str(point) for point in sweep.points]) == ("s.2", ["h=a", "h=c"])  # c has one seed of two
    taken = complete_trials(open_storage(url), "s", ["minimize"])
    assert [(record.origin, record.value) for record in taken] == [("s.2#0", 3.0), ("s.2#2", 3.5), ("s.2#4", 2.0)]
