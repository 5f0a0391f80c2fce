"""A job's access to its trial."""

from pathlib import Path

import optuna
import pytest

from sweeps.base.environment import STORAGE
from sweeps.job.current_trial import RunningTrial, current_trial, job_environment
from sweeps.points.search_space import Point
from sweeps.points.trial_record import TrialRecord
from sweeps.search.plan import Grid, Plan
from sweeps.study.claims import SweepStudy

PLAN = Plan(Grid([Point({"h": 1.0}, ("h=1",))]))


@pytest.fixture
def study(tmp_path: Path) -> SweepStudy:
    study = SweepStudy(f"sqlite:///{tmp_path}/s.db", "s", "minimize", {"axes": ["h"], "config": {}}, print)
    study.enqueue(PLAN, {"h": [1.0]})
    return study


def enter(study: SweepStudy, claim: TrialRecord, monkeypatch: pytest.MonkeyPatch) -> RunningTrial:
    """Enter the environment of a claim's job."""
    monkeypatch.setenv(STORAGE, study.url)
    for name, value in job_environment(study.name, claim.number, "abc").items():
        monkeypatch.setenv(name, value)
    trial = current_trial()
    assert trial is not None
    return trial


@pytest.fixture
def trial(study: SweepStudy, monkeypatch: pytest.MonkeyPatch) -> RunningTrial:
    claim = study.claim(PLAN)
    assert claim is not None
    return enter(study, claim, monkeypatch)


def test_outside_a_sweep_there_is_none() -> None:
    assert current_trial() is None


def test_it_reports_and_keeps_values(trial: RunningTrial) -> None:
    assert (trial.study, trial.number, trial.parent_run_id) == ("s", 0, "abc")
    assert trial.overrides() == ("h=1",)
    trial.report(3, 2)
    trial.report(float("nan"), 4)
    trial.report(2.5, 2)
    trial.set("sec_per_kimg", 1.5)
    [frozen] = optuna.load_study(study_name="s", storage=trial.storage).trials
    assert frozen.intermediate_values[2] == 2.5
    assert frozen.intermediate_values[4] != frozen.intermediate_values[4]
    assert frozen.user_attrs["job.sec_per_kimg"] == 1.5


def test_a_trial_that_has_waited_again_keeps_its_number(study: SweepStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    first = study.claim(PLAN)
    assert first is not None
    assert study.give_back(first)
    again = study.claim(PLAN)
    assert again is not None
    trial = enter(study, again, monkeypatch)
    assert (trial.number, trial.optuna_number) == (0, 1)


def test_a_step_is_a_whole_number(trial: RunningTrial) -> None:
    with pytest.raises(TypeError):
        trial.report(1.0, 0.5)  # type: ignore[arg-type]


def test_without_a_parent_run() -> None:
    assert job_environment("s", 3, None) == {"SWEEPS_STUDY": "s", "SWEEPS_TRIAL": "3"}
