"""A command and a trial whose time is over."""

import time
from dataclasses import replace

import pytest
from optuna.trial import TrialState

from sweeps.base.errors import FAILED
from sweeps.base.settings import Settings
from sweeps.points.trial_record import TrialRecord
from sweeps.workers.time_limits import TimeLimits
from tests.sweeps.sweep_app import App

STEPS = "step 1\nstep 2\nstep 3\nstep 4\n"  # each once


def running(*numbers: int) -> list[TrialRecord]:
    return [TrialRecord(number, "RUNNING", {"h": 0.5}) for number in numbers]


def test_a_trial_has_its_time_from_when_it_was_seen_to_run() -> None:
    limits = TimeLimits(Settings(trial_timeout="1m"))
    assert limits.overdue(running(0), now=0) == []
    assert limits.overdue(running(0, 1), now=50) == []
    assert [record.number for record in limits.overdue(running(0, 1), now=61)] == [0]
    assert limits.overdue(running(1), now=62) == []
    assert limits.overdue(running(0, 1), now=100) == []  # trial 0 is back: another run of it
    assert [record.number for record in limits.overdue(running(0, 1), now=111)] == [1]
    assert not limits.is_over(now=1e9)


def test_a_trial_that_waits_for_its_job_to_begin_does_not_run() -> None:
    limits = TimeLimits(Settings(trial_timeout="1m"))
    [record] = running(0)
    assert limits.overdue([replace(record, waits="Slurm job 7 waits: Priority")], now=0) == []
    assert limits.overdue([record], now=1000) == []
    assert limits.overdue([record], now=1061) == [record]


def test_a_command_has_its_time_from_its_start() -> None:
    limits = TimeLimits(Settings(timeout=60), begun=1000)
    assert (limits.is_over(now=1060), limits.is_over(now=1061)) == (False, True)
    assert limits.overdue(running(0), now=1061) == []
    limits.count_from(time.time() - 3600)
    assert limits.is_over(now=time.monotonic() - 3000)
    assert (limits.given, TimeLimits(Settings()).given) == (True, False)


@pytest.mark.slow
def test_a_trial_that_runs_too_long_has_failed_with_its_checkpoint_and_the_next_one_runs(app: App) -> None:
    points = ("h=0.5,2", "mode=checkpoint", "hydra.sweeper.workers=1")  # each halts before its last step
    out = app.run(*points, "hydra.sweeper.trial_timeout=3s", status=FAILED)  # by then each has begun
    reason = "timeout: it ran longer than hydra.sweeper.trial_timeout=3s"
    assert app.started() == ["0 0.5 symmetric", "1 2 symmetric"]
    assert [trial.user_attrs["reason"] for trial in app.trials(state=TrialState.FAIL)] == [reason] * 2
    assert f"failed: trial 1  h=2  {reason}" in out
    (app.cwd / "go").touch()
    app.run(*points, "hydra.sweeper.trial_timeout=1h", "hydra.sweeper.retry_failed=true")
    assert len(app.trials(state=TrialState.COMPLETE)) == 2
    for steps in app.cwd.glob("runs/*/?/steps.log"):
        assert steps.read_text() == STEPS


@pytest.mark.slow
def test_a_trial_that_does_not_stop_in_time_is_killed(app: App) -> None:
    app.run("h=0.5", "mode=stubborn", "hydra.sweeper.trial_timeout=3", "hydra.sweeper.stop_seconds=0", status=FAILED)
    assert app.started() == ["0 0.5 symmetric"]  # no retry, as after another crash
    [trial] = app.trials()
    assert trial.user_attrs["reason"].startswith("timeout: ")


@pytest.mark.slow
def test_at_the_end_of_its_time_a_command_leaves_its_trials_to_others(app: App) -> None:
    command = ("h=0.5", "mode=checkpoint")  # halts before its last step
    timed = app.start(*command, "hydra.sweeper.timeout=4")
    app.wait_until(lambda: len(app.trials()) > 0)
    other = app.start(*command)
    out = app.end(timed, status=75)
    assert "\nstudy single-" in out  # the summary
    assert "hydra.sweeper.timeout=4 is over: no further trial starts; run the same command again to continue" in out
    app.wait_until(lambda: len(app.trials(state=TrialState.RUNNING)) == 1)  # in the other command
    (app.cwd / "go").touch()
    app.end(other)
    assert len(app.trials(state=TrialState.COMPLETE)) == 1
    assert {trial.user_attrs["reason"] for trial in app.trials(state=TrialState.FAIL)} <= {"interrupted"}
    [steps] = app.cwd.glob("runs/*/0/steps.log")
    assert steps.read_text() == STEPS
