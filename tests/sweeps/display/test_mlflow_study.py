"""One MLflow run for a study."""

import math
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from sweeps.display.mlflow_study import ParentRun, close_parent, open_parent, or_warn
from sweeps.points.ranking import Goal
from sweeps.points.search_space import Space
from sweeps.points.trial_record import TrialRecord
from sweeps.study.claims import SweepStudy

RECORDS = [  # the single seed of h=2 is the lowest
    TrialRecord(n, "COMPLETE", {"h": h}, value, values=(value,), replica=replica)
    for n, (h, replica, value) in enumerate([(1.0, 0, 1.5), (1.0, 1, 2.5), (2.0, 0, 1.0)])
]


@pytest.fixture
def study(tmp_path: Path) -> SweepStudy:
    return SweepStudy(f"sqlite:///{tmp_path}/s.db", "s", "minimize", {"axes": ["h"], "config": {}}, print)


@pytest.mark.slow
def test_a_study_has_one_run_that_grows(tmp_path: Path, study: SweepStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    uri = "sqlite:///mlflow.db"
    said: list[str] = []
    parent = open_parent(uri, "sweeps", study, {"h": [0.1, 2.0], "clip@judge": ["a"]}, "shapes", said.append)
    parent.finish("FAILED", [TrialRecord(n, "FAIL", {"h": float(n)}) for n in range(2)], Goal())
    again = open_parent(uri, "sweeps", study, {"h": [0.1, 2.0, 5.0], "clip@judge": ["a"]}, "shapes", print)
    assert again.run_id == parent.run_id
    run = again.client.get_run(again.run_id)
    assert (run.info.run_name, run.info.status) == ("sweep h=0.1,2,5 clip@judge=a shapes (s)", "RUNNING")
    assert run.data.params == {}  # a list of values would make h an axis of words in a comparison
    [line] = said
    assert line.startswith("to watch its trials: ")
    assert " -m mlflow ui --backend-store-uri sqlite:///mlflow.db, then http://127.0.0.1:5000/#/exp" in line
    assert "/runs?workflowType=machine_learning&searchFilter=tags.%60mlflow.parentRunId%60" in line
    # in an order by time, the page would have the parent alone
    assert line.endswith(f"%27{parent.run_id}%27&orderByKey=tags.%60mlflow.runName%60&orderByAsc=true")
    best_first = parent.page(Goal(names=("accuracy",), directions=("maximize",)))
    assert best_first.endswith(f"%27{parent.run_id}%27&orderByKey=metrics.%60accuracy%60&orderByAsc=false")
    assert run.data.tags["sweep.axis.h"] == "0.1,2,5"
    again.client.update_run(again.run_id, name="mine")
    renamed = open_parent(uri, "sweeps", study, {"h": [7.0]}, "", print)
    assert renamed.client.get_run(renamed.run_id).info.run_name == "mine"
    again.finish("FINISHED", RECORDS, Goal(replicas=2))
    run = again.client.get_run(again.run_id)
    assert (run.info.status, run.data.metrics) == (
        "FINISHED", {"best_point_value": 2.0, "best_so_far_value": 1.0, "n_complete": 3.0, "n_fail": 0.0},
    )  # fmt: skip
    again.finish("FINISHED", [*RECORDS, TrialRecord(3, "COMPLETE", {"h": 5.0}, 0.5, values=(0.5,))], Goal(replicas=2))
    curve = again.client.get_metric_history(again.run_id, "best_so_far_value")
    assert sorted((metric.step, metric.value) for metric in curve) == [(1, 1.5), (2, 1.5), (3, 1.0), (4, 0.5)]
    again.client.delete_run(again.run_id)
    assert open_parent(uri, "sweeps", study, {}, "", print).run_id != parent.run_id
    assert (tmp_path / "mlflow.db.lock").exists()


def _newest(parent: ParentRun, name: str) -> list[float]:
    """The curve that MLflow draws: the newest value of each step."""
    history = sorted(parent.client.get_metric_history(parent.run_id, name), key=lambda metric: metric.timestamp)
    newest = {metric.step: metric.value for metric in history}
    return [newest[step] for step in sorted(newest)]


@pytest.mark.slow
def test_a_rerun_replaces_the_curve(tmp_path: Path, study: SweepStudy) -> None:
    parent = open_parent(f"sqlite:///{tmp_path}/mlflow.db", "sweeps", study, {"h": [1.0, 2.0]}, "", print)
    parent.finish("FINISHED", RECORDS, Goal(replicas=2))
    again = [
        replace(record, number=number, value=100 + record.values[0], values=(100 + record.values[0],))
        for number, record in enumerate(reversed(RECORDS), 3)
    ]
    parent.finish("FINISHED", again, Goal(replicas=2))
    assert _newest(parent, "best_so_far_value") == [101.0, 101.0, 101.0]
    parent.finish("FINISHED", again[1:], Goal(replicas=2))  # MLflow keeps step 3
    assert _newest(parent, "best_so_far_value") == [102.5, 101.5, 101.5]
    metrics = parent.client.get_run(parent.run_id).data.metrics
    assert (metrics["best_so_far_value"], metrics["best_point_value"]) == (101.5, 102.0)
    parent.finish("FINISHED", again, Goal(replicas=2))
    parent.finish("FINISHED", again, Goal(replicas=2))
    n_values = len(parent.client.get_metric_history(parent.run_id, "best_so_far_value"))
    assert n_values == 3 + 3 + 3 + 3  # a value that is there is not written again
    for _ in range(2):
        parent._log("best_so_far_loss", {1: math.inf})  # MLflow keeps no infinite value
    assert len(parent.client.get_metric_history(parent.run_id, "best_so_far_loss")) == 1


@pytest.mark.slow
def test_a_host_whose_clock_is_ahead_freezes_nothing(
    tmp_path: Path, study: SweepStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = open_parent(f"sqlite:///{tmp_path}/mlflow.db", "sweeps", study, {"h": [1.0, 2.0]}, "", print)
    ahead = time.time() + 3600
    with monkeypatch.context() as there:
        there.setattr("time.time", lambda: ahead)
        parent.finish("FAILED", [*RECORDS[:2], TrialRecord(2, "FAIL", {"h": 2.0})], Goal())
    parent.finish("FINISHED", RECORDS, Goal())
    metrics = parent.client.get_run(parent.run_id).data.metrics
    assert metrics == {"best_point_value": 1.0, "best_so_far_value": 1.0, "n_complete": 3.0, "n_fail": 0.0}


@pytest.mark.slow
def test_an_interval_is_one_in_its_titles(tmp_path: Path, study: SweepStudy) -> None:
    study.set_attributes({"intervals": ["h"], "space": {"h": [0.0, 1.0]}})
    parent = open_parent(f"sqlite:///{tmp_path}/mlflow.db", "sweeps", study, {"h": [0.2, 0.6]}, "", print)
    run = parent.client.get_run(parent.run_id)
    assert (run.info.run_name, run.data.tags["sweep.axis.h"]) == ("sweep h=0 to 1 (s)", "0 to 1")


@pytest.mark.slow
def test_the_run_of_a_study_that_was_deleted_ends(tmp_path: Path, study: SweepStudy) -> None:
    parent = open_parent(f"sqlite:///{tmp_path}/mlflow.db", "sweeps", study, {"h": [1.0]}, "", print)
    optuna.delete_study(study_name=study.name, storage=study.url)
    close_parent(parent, study, "FAILED")
    assert parent.client.get_run(parent.run_id).info.status == "FAILED"


def _trial(parent: ParentRun, run_id: str | None = None) -> str:
    """A run inside the study's, or inside another one."""
    [experiment] = [each for each in parent.client.search_experiments() if each.name == "sweeps"]
    tags = {"mlflow.parentRunId": run_id or parent.run_id}
    return str(parent.client.create_run(experiment.experiment_id, tags=tags).info.run_id)


@pytest.mark.slow
def test_each_mlflow_has_one_run_of_a_study_with_all_its_trials(tmp_path: Path, study: SweepStudy) -> None:
    def open_at(server: str) -> ParentRun:
        return open_parent(f"sqlite:///{tmp_path}/{server}.db", "sweeps", study, {"h": [1.0]}, "", print)

    one = open_at("one")
    assert open_at("one").run_id == one.run_id
    two = open_at("two")
    assert two.run_id != one.run_id
    assert [open_at("one").run_id, open_at("two").run_id] == [one.run_id, two.run_id]
    trials, alien = [_trial(one) for _ in range(3)], _trial(one, "0" * 32)
    assert one.is_there()
    one.client.delete_run(one.run_id)
    assert not one.is_there()
    successor = open_at("one")
    assert successor.run_id not in (one.run_id, two.run_id)
    trials.append(_trial(successor))
    assert open_at("one").run_id == successor.run_id
    parents = {run: one.client.get_run(run).data.tags["mlflow.parentRunId"] for run in [*trials, alien]}
    assert parents == {**dict.fromkeys(trials, successor.run_id), alien: "0" * 32}


def test_a_server_that_is_down_costs_one_line(study: SweepStudy) -> None:
    said: list[str] = []
    space: Space = {"h": [1.0]}

    def open_it() -> ParentRun:
        return open_parent("http://127.0.0.1:9", "sweeps", study, space, "", said.append)

    assert or_warn(open_it, said.append) is None
    [line] = said
    assert line.startswith("warning: MLflow cannot be used, the sweep goes on without it (MlflowException")
