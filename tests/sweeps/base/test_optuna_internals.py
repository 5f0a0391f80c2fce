"""Optuna still has the private names and tables that sweeps use, and they still behave the same."""

import math
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeps.base import optuna_internals
from sweeps.base.optuna_internals import (
    add_trials,
    complete_trial,
    key_of,
    replace_distributions,
    set_study_notes,
    start_trial,
)

FILE = "sweeps/base/optuna_internals.py"
METHODS = ("_get_trials", "_get_stale_trial_ids")  # of RDBStorage
TABLES = {
    "studies": ("study_id", "study_name"),
    "trials": ("trial_id", "study_id", "number", "state", "datetime_start", "datetime_complete"),
    "trial_values": ("trial_id", "objective", "value", "value_type"),
    "trial_intermediate_values": ("trial_id", "step", "intermediate_value", "intermediate_value_type"),
    "trial_params": ("param_id", "trial_id", "param_name", "param_value", "distribution_json"),
    "trial_user_attributes": ("trial_id", "key", "value_json"),
    "trial_system_attributes": ("trial_id", "key", "value_json"),
    "trial_heartbeats": ("trial_id", "heartbeat"),
    "study_user_attributes": ("study_id", "key", "value_json"),
}


@pytest.fixture
def storage(tmp_path: Path) -> RDBStorage:
    return RDBStorage(f"sqlite:///{tmp_path}/s.db")


def gone(name: str) -> str:
    return f"Optuna {optuna.__version__} no longer has {name}, which {FILE} uses"


def test_the_private_names_are_there(storage: RDBStorage) -> None:
    for name in METHODS:
        assert hasattr(RDBStorage, name), gone(f"RDBStorage.{name}")
    assert hasattr(create_trial(value=1.0), "_trial_id"), gone(f"{FrozenTrial.__name__}._trial_id")
    for name in ("heartbeat_interval", "grace_period", "engine"):
        assert hasattr(storage, name), gone(f"RDBStorage.{name}")


def test_the_tables_are_there(storage: RDBStorage) -> None:
    inspector = sqlalchemy.inspect(storage.engine)
    for table, columns in TABLES.items():
        found = {column["name"] for column in inspector.get_columns(table)} if inspector.has_table(table) else set()
        for column in columns:
            assert column in found, gone(f"the column {table}.{column}")


def test_no_other_file_uses_private_names() -> None:
    names = (*METHODS, "_trial_id", "_study_id")
    for path in Path(optuna_internals.__file__).parents[1].rglob("*.py"):
        if path != Path(optuna_internals.__file__):
            assert not any(f".{name}" in path.read_text() for name in names), path


@pytest.fixture
def _time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place whose time is not UTC, in which Optuna stores times."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_time_zone")
def test_added_trials_are_as_optuna_adds_them(storage: RDBStorage) -> None:
    distributions = {"loss": CategoricalDistribution(["a", "b"]), "h": FloatDistribution(0, 2)}
    trials = [
        create_trial(
            state=TrialState.WAITING,
            params={"loss": loss, "h": h},
            distributions=distributions,
            user_attrs={"point": {"loss": loss, "h": h}, "overrides": [f"h={h}"], "run": run},
            system_attrs={"cma:0": "state"} if run else {},
        )
        for run, (loss, h) in enumerate([("b", 0.5), ("a", 2.0), ("a", 0.1)])
    ]
    reports = {1: 3.5, 2: math.inf, 3: -math.inf}
    complete = [
        create_trial(value=value, params=trials[0].params, distributions=distributions, intermediate_values=steps)
        for value, steps in ((0.25, reports), (math.inf, {}))
    ]
    trials[0].intermediate_values = {1: 3.5, 2: math.nan}
    ours, optunas, foreign = (optuna.create_study(study_name=name, storage=storage) for name in ("a", "b", "c"))
    foreign.add_trial(trials[0])  # keys are the storage's, numbers the study's
    for _ in range(2):
        add_trials(storage, storage.get_study_id_from_name("a"), trials)
        optunas.add_trials(trials)
    add_trials(storage, storage.get_study_id_from_name("a"), complete)
    optunas.add_trials(complete)
    fields = ("number", "state", "params", "distributions", "user_attrs", "system_attrs", "values")
    times = ("datetime_start", "datetime_complete")

    def read(study: optuna.Study) -> list[list[object]]:
        """All of it; reports as text, because nan is not equal to itself."""
        return [
            [*(getattr(trial, name) for name in (*fields, *times)), str(trial.intermediate_values)]
            for trial in study.trials
        ]

    assert read(ours) == read(optunas)
    assert [trial.number for trial in ours.trials] == list(range(8))
    assert len(foreign.trials) == 1


@pytest.mark.usefixtures("_time_zone")
def test_a_trial_starts_and_ends_as_with_optuna(storage: RDBStorage) -> None:
    study, n = optuna.create_study(study_name="s", storage=storage, directions=["minimize", "maximize"]), 2
    for _ in range(n):
        study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={"owner": "a dead one"}))
    ours, optunas = (key_of(trial) for trial in study.get_trials(deepcopy=False))
    before = datetime.now()
    assert start_trial(storage, ours, ("owner", {"pid": 7}))
    assert not start_trial(storage, ours, ("owner", {"pid": 8}))  # it runs
    storage.set_trial_user_attr(optunas, "owner", {"pid": 7})
    storage.record_heartbeat(optunas)
    storage.set_trial_state_values(optunas, TrialState.RUNNING)
    query = sqlalchemy.text("SELECT heartbeat FROM trial_heartbeats ORDER BY trial_id")
    with storage.engine.connect() as connection:
        beats = [datetime.fromisoformat(text) for (text,) in connection.execute(query)]
    assert len(beats) == n
    assert abs(beats[0] - beats[1]) < timedelta(hours=1)  # both in UTC
    for _ in range(2):  # the second time, the trial has ended
        complete_trial(storage, ours, [0.5, 2.0], {"run_dir": "runs/7"})
    storage.set_trial_user_attr(optunas, "run_dir", "runs/7")
    storage.set_trial_state_values(optunas, TrialState.COMPLETE, [0.5, 2.0])
    [mine, theirs] = study.trials
    for name in ("state", "values", "user_attrs", "system_attrs"):
        assert getattr(mine, name) == getattr(theirs, name), name
    assert mine.user_attrs == {"owner": {"pid": 7}, "run_dir": "runs/7"}
    for moment in (mine.datetime_start, mine.datetime_complete, theirs.datetime_start, theirs.datetime_complete):
        assert moment is not None
        assert abs(moment - before) < timedelta(hours=1)  # all local


def test_notes_of_a_study_are_added_and_changed(storage: RDBStorage) -> None:
    study, other = (optuna.create_study(study_name=name, storage=storage) for name in ("s", "other"))
    study.set_user_attr("code", ["a"])
    set_study_notes(storage, storage.get_study_id_from_name("s"), {"code": ["a", "b"], "about": None})
    assert study.user_attrs == {"code": ["a", "b"], "about": None}
    assert other.user_attrs == {}


def test_choices_grow_and_numbers_become_names(storage: RDBStorage) -> None:
    study = optuna.create_study(study_name="s", storage=storage)
    study.set_user_attr("space", 1)
    old = {"loss": CategoricalDistribution(["a", "b"]), "h": FloatDistribution(0, 2), "k": FloatDistribution(0, 1)}
    for state, loss, h in ((TrialState.COMPLETE, "b", 2.0), (TrialState.WAITING, "a", 0.5)):
        value = 1.0 if state == TrialState.COMPLETE else None
        params = {"loss": loss, "h": h, "k": 0.25}
        study.add_trial(create_trial(state=state, value=value, params=params, distributions=old))
    new = {"loss": CategoricalDistribution(["a", "b", "c"]), "h": CategoricalDistribution(["0.5", "2", "auto"])}
    for _ in range(2):  # a second time changes nothing
        replace_distributions(
            storage, 1, new, lambda value: f"{value:g}" if value != str(value) else value, ("space", 7)
        )
    again = optuna.load_study(study_name="s", storage=RDBStorage(str(storage.url)))
    assert [trial.params for trial in again.trials] == [
        {"loss": "b", "h": "2", "k": 0.25},
        {"loss": "a", "h": "0.5", "k": 0.25},
    ]
    assert {trial.distributions["h"] for trial in again.trials} == {new["h"]}
    assert again.user_attrs["space"] == 7
    again.add_trial(create_trial(value=0.0, params={"loss": "c", "h": "auto"}, distributions=new))  # Optuna allows it
