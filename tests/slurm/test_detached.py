"""Sweeps that Slurm runs without the process that has submitted them (hydra.sweeper.detach), on a real Slurm."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState

from sweeps.studies.__main__ import main as studies
from tests.slurm.test_slurm import SLURM, jobs
from tests.sweeps.sweep_app import App

TIMEOUT = 300  # seconds: a job starts three processes, one after the other
DETACHED = (*SLURM, "hydra.launcher.timeout_min=60", "hydra.sweeper.detach=true")  # submitit requeues no short job


@pytest.fixture
def app(app: App) -> App:
    """The app, with patience."""
    app.timeout = TIMEOUT
    return app


def ended(app: App) -> bool:
    """Whether no job of this app runs or waits."""
    return not {"RUNNING", "PENDING", "COMPLETING", "CONFIGURING"} & set(jobs(app).values())


def complete(app: App) -> dict[float, float | None]:
    """h -> value of the complete trials."""
    return {trial.params["h"]: trial.value for trial in app.trials(state=TrialState.COMPLETE)}


def ids(printed: str) -> str:
    """The id of the jobs that a command has submitted."""
    return re.findall(r"^Slurm job (\d+) runs study", printed, re.MULTILINE)[0]


def logs(app: App) -> list[str]:
    """What each job has printed."""
    return [path.read_text() for path in sorted(app.cwd.glob("runs/*/.submitit/*/*.out"))]


@pytest.mark.slow
def test_jobs_run_a_sweep_whose_submitter_has_gone(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (*DETACHED, "h=0.1,0.5,2", "mode=hang", "hydra.sweeper.workers=2")
    out = app.run(*command)  # it has ended, and no trial can end before the file `go` is there
    job, name = ids(out), app.study().study_name
    assert "hydra.sweeper.storage=sqlite:///sweeps.db is a file, which the nodes may not see" in out
    assert f"Slurm job {job} runs study {name} with 2 workers" in out
    assert f"    scancel {job}\n" in out
    app.wait_until(lambda: len(app.started()) == 2)
    (app.cwd / "go").touch()
    app.wait_until(lambda: ended(app))
    assert list(jobs(app).values()) == ["COMPLETED"] * 2
    assert complete(app) == pytest.approx({0.1: 0.16, 0.5: 0.0, 2.0: 2.25})
    assert any("best: trial 1  h=0.5  value 0" in log and "running in another process" not in log for log in logs(app))
    monkeypatch.chdir(app.cwd)
    monkeypatch.setattr(sys, "argv", ["__main__.py", "show", name])
    studies()
    shown = capsys.readouterr().out
    assert "best: trial 1  h=0.5  value 0" in shown
    assert f"squeue --jobs={job}\n" in shown
    assert "0 trials run: all 3 points are already in study" in app.run(*command)
    assert len(jobs(app)) == 2  # nothing was left to submit


@pytest.mark.endurance
def test_a_preempted_job_is_requeued_and_a_cancelled_one_is_not(app: App) -> None:
    command = (*DETACHED, "h=0.1,0.5", "mode=checkpoint", "hydra.sweeper.workers=1")
    job = ids(app.run(*command))
    app.await_file("hanging")
    subprocess.run(["scancel", "--signal=USR2", job], check=True)  # as Slurm does before the time limit
    app.wait_until(lambda: jobs(app)[job] == "PENDING")
    assert [trial.state.name for trial in app.trials()] == ["FAIL", "WAITING", "WAITING"]
    (app.cwd / "hanging").unlink()
    time.sleep(2)  # Slurm ends a job that starts again in the second of its end ("Job credential revoked")
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)  # not two minutes later
    app.await_file("hanging")
    subprocess.run(["scancel", job], check=True)
    app.wait_until(lambda: ended(app))
    assert jobs(app) == {job: "CANCELLED"}
    assert sorted(trial.state.name for trial in app.trials()) == ["FAIL", "FAIL", "WAITING", "WAITING"]

    (app.cwd / "go").touch()
    app.run(*command)
    app.wait_until(lambda: ended(app))
    assert list(jobs(app).values()) == ["CANCELLED", "COMPLETED"]
    assert complete(app) == pytest.approx({0.1: 0.16, 0.5: 0.0})
    steps = Path(app.cwd / "runs" / app.study().study_name / "0" / "steps.log").read_text().split("\n")
    assert steps[:-1] == [f"step {number}" for number in (1, 2, 3, 4)]  # it went on where it was stopped


@pytest.mark.endurance
def test_all_jobs_of_a_sweep_share_its_time(app: App) -> None:
    command = (*DETACHED, "h=0.1,0.5,2", "mode=checkpoint")  # each halts before its last step
    one_by_one = ("hydra.launcher.array_parallelism=1", "hydra.sweeper.workers=2")
    app.run(*command, *one_by_one, "hydra.sweeper.timeout=10s")
    app.wait_until(lambda: ended(app))
    assert list(jobs(app).values()) == ["FAILED"] * 2  # with status 75, as the command itself would end
    assert all("hydra.sweeper.timeout=10s is over" in log for log in logs(app))
    assert {trial.params["h"] for trial in app.trials(state=TrialState.WAITING)} == {0.1, 0.5, 2.0}
    assert len(app.started()) <= 1  # the second job has come after the end, and has started none
    (app.cwd / "go").touch()
    app.run(*command, "hydra.sweeper.workers=1", "hydra.sweeper.timeout=1h")  # the time begins anew
    app.wait_until(lambda: ended(app))
    assert complete(app) == pytest.approx({0.1: 0.16, 0.5: 0.0, 2.0: 2.25})
    for steps in app.cwd.glob("runs/*/?/steps.log"):
        assert steps.read_text().split() == ["step", "1", "step", "2", "step", "3", "step", "4"]


@pytest.mark.endurance
def test_a_crash_in_a_job_costs_one_attempt(app: App) -> None:
    command = (*DETACHED, "h=0.1,0.5", "mode=killed", "only_at=0.1", "hydra.sweeper.workers=1")
    app.run(*command, "hydra.sweeper.max_retries=1")
    app.wait_until(lambda: ended(app))
    assert [trial.state.name for trial in app.trials()] == ["FAIL", "COMPLETE", "FAIL"]
    assert "worker killed by SIGKILL" in app.trials()[2].user_attrs["reason"]
    assert list(jobs(app).values()) == ["FAILED"]  # as the command itself would end


@pytest.mark.slow
def test_what_slurm_refuses_is_one_message(app: App) -> None:
    out = app.run(*DETACHED, "h=0.1,0.5", "hydra.launcher.partition=nowhere", status=1)
    assert "Slurm does not accept the jobs: " in out
    assert "invalid partition specified: nowhere" in out
    assert "Traceback" not in out
