"""Altered rows in a study's SQLite file are one message before Optuna reads them; what Optuna writes passes."""

import math
import sqlite3
from contextlib import closing

import optuna
import pytest

from sweeps.base.errors import SweepError
from sweeps.points.ranking import Goal
from sweeps.points.trial_record import OWN
from sweeps.study.row_check import altered_row
from sweeps.study.storage import open_storage
from sweeps.study.stored_study import StoredStudy


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A database with a study of this sweeper, and one of another tool with notes of the same names."""
    path = tmp_path_factory.mktemp("study") / "sweeps.db"
    storage = open_storage(f"sqlite:///{path}")
    stored = StoredStudy(storage, "ours", ["minimize"], {"axes": ["h"], "config": {"seed": 0}}, print)
    stored.extend({"h": [1.0, 2.0]})
    stored.keep_goal(Goal(("value",), ("minimize",)))
    stored.study.set_user_attr("command", {"program": "train.py", "fixed": []})
    foreign = optuna.create_study(storage=storage, study_name="theirs")
    foreign.set_user_attr("space", 5)
    foreign.add_trial(optuna.trial.create_trial(value=math.inf, user_attrs={"replica": "x"}))
    notes = {OWN: {"h": 1.0}, "replica": 0, "overrides": ["h=1"], "run": 0, "owner": {}, "run_dir": None,
             "job.objective_sd": math.nan, "job.text": 'NaN, "Infinity"'}  # fmt: skip
    stored.study.add_trial(
        optuna.trial.create_trial(
            params={"h": 1.0}, distributions=stored.distributions(), value=0.5, user_attrs=notes,
            intermediate_values={1: math.nan, 2: math.inf, 3: 0.5},
        )
    )  # fmt: skip
    storage.engine.dispose()
    return path


@pytest.fixture
def database(whole, tmp_path):
    path = tmp_path / "sweeps.db"
    with closing(sqlite3.connect(whole)) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)
        yield copy, path


def test_what_is_written_passes(database):
    connection, _ = database
    assert altered_row(connection) is None


@pytest.mark.parametrize("change", [
    "trials SET state = 'ODD'", "trials SET number = NULL", "trials SET datetime_start = 'x'",
    "trial_params SET param_value = 'x'", "trial_params SET distribution_json = '{\"name\": \"Odd\"}'",
    "trial_values SET value = 'x'", "trial_values SET value = NULL, value_type = 'FINITE'",
    "study_directions SET direction = 'ODD'", "study_directions SET study_id = 100 + study_id",
    "trial_intermediate_values SET intermediate_value = 'x'", "trial_user_attributes SET value_json = '{bad'",
])  # fmt: skip
def test_an_altered_row_is_one_message_and_stays(database, change):
    connection, path = database
    connection.execute(f"UPDATE {change}")
    connection.commit()
    before = path.read_bytes()
    with pytest.raises(SweepError, match=r"is damaged \(row \d+ of .*\); put a copy in its place"):
        open_storage(f"sqlite:///{path}")
    assert path.read_bytes() == before
