"""Sweeps whose trials are Slurm jobs, on a real Slurm: tests/slurm/cluster.sh starts one."""

import re
import signal
import subprocess

import pytest
from optuna.trial import TrialState

from sweeps.base.errors import FAILED
from tests.sweeps.sweep_app import App

SLURM = ("hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.timeout_min=5")


AT_ONCE = ("hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.pruner.n_warmup_steps=0")


def jobs(app: App) -> dict[str, str]:
    """Slurm's own record of the jobs that were started from this app's directory: id -> state."""
    text = subprocess.run(["scontrol", "show", "jobs"], capture_output=True, text=True, check=True).stdout
    found = [block for block in text.split("\n\n") if f"WorkDir={app.cwd}\n" in block]
    return {re.findall(r"JobId=(\d+)", job)[0]: re.findall(r"JobState=(\w+)", job)[0] for job in found}


@pytest.mark.slow
def test_each_trial_is_a_job_and_reports_from_there(app: App) -> None:
    app.run(*SLURM, "h=0.1,0.5,2", "mode=report", "hydra.sweeper.workers=2")
    trials = app.trials()
    assert [trial.value for trial in trials] == pytest.approx([0.16, 0.0, 2.25])
    assert trials[1].intermediate_values == {1: 10.0, 2: 5.0}
    app.wait_until(lambda: list(jobs(app).values()) == ["COMPLETED"] * 3)  # a job ends a moment after its result
    folder = app.cwd / "runs" / app.study().study_name
    assert {path.name for path in (folder / ".submitit").iterdir() if path.is_dir()} == set(jobs(app))
    app.run(*SLURM, "h=0.1,0.5,2", "mode=report")
    assert len(jobs(app)) == 3  # nothing was left to run


@pytest.mark.slow
def test_a_failure_in_a_job_keeps_its_reason_and_the_others_go_on(app: App) -> None:
    out = app.run(*SLURM, "h=0.1,0.5", "mode=raise", "only_at=0.1", "hydra.sweeper.max_retries=0", status=FAILED)
    assert [trial.state.name for trial in app.trials()] == ["FAIL", "COMPLETE"]
    assert "DivergenceError: loss is nan at h=0.1" in out


@pytest.mark.slow
def test_a_job_is_pruned(app: App) -> None:
    in_order = "hydra.sweeper.enqueue=[{h: 0.6}, {h: 0.5}, {h: 4}]"
    app.run(*SLURM, "h=0.6,0.5,4", "mode=curve", "pruner=median", "hydra.sweeper.workers=1", in_order, *AT_ONCE)
    assert [trial.state.name for trial in app.trials()] == ["COMPLETE", "COMPLETE", "PRUNED"]
    assert list(app.trials()[2].intermediate_values) == [0]  # of five steps
    app.wait_until(lambda: list(jobs(app).values()) == ["COMPLETED"] * 3)  # a job ends a moment after its result


@pytest.mark.slow
def test_jobs_end_when_their_sweep_is_stopped_and_the_same_command_goes_on(app: App) -> None:
    command = (*SLURM, "h=0.1,0.5", "mode=hang", "hydra.sweeper.workers=2")
    leader = app.start(*command)
    app.wait_until(lambda: len(app.started()) == 2)
    leader.send_signal(signal.SIGINT)
    app.end(leader, status=130)
    app.wait_until(lambda: "RUNNING" not in jobs(app).values())  # nothing writes where their successors will
    assert list(jobs(app).values()) == ["CANCELLED"] * 2
    (app.cwd / "go").touch()
    app.run(*command)
    assert [trial.state.name for trial in app.trials(state=TrialState.COMPLETE)] == ["COMPLETE"] * 2
    app.wait_until(lambda: list(jobs(app).values()) == ["CANCELLED"] * 2 + ["COMPLETED"] * 2)


@pytest.mark.slow
def test_a_job_that_has_not_begun_leaves_the_queue_with_its_sweep(app: App) -> None:
    leader = app.start(*SLURM, "h=0.1", "+hydra.launcher.additional_parameters={begin: now+1hour}")
    app.wait_until(lambda: list(jobs(app).values()) == ["PENDING"])
    leader.send_signal(signal.SIGTERM)
    app.end(leader, status=143)
    assert list(jobs(app).values()) == ["CANCELLED"]
    assert [trial.state.name for trial in app.trials()] == ["FAIL", "WAITING"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_slurm_refuses_is_no_trials_failure(app: App, workers: int) -> None:
    command = (*SLURM, "hydra.launcher.partition=nosuch", "h=0.1,0.5,2", f"hydra.sweeper.workers={workers}")
    out = app.run(*command, status=1)
    assert "Slurm does not accept the jobs: invalid partition specified: nosuch; Batch job submission failed" in out
    assert "Traceback" not in out
    states = [trial.state.name for trial in app.trials()]
    assert states.count("WAITING") == 3
    assert {trial.user_attrs["reason"] for trial in app.trials(state=TrialState.FAIL)} == {"interrupted"}
    assert not app.started()


@pytest.mark.slow
def test_jobs_stop_when_their_sweep_is_killed(app: App) -> None:
    """Nothing can tell them, but the heartbeats end."""
    leader = app.start(*SLURM, "h=0.1", "mode=hang", "hydra.sweeper.heartbeat=1", "hydra.sweeper.grace=3")
    app.wait_until(lambda: len(app.started()) == 1)
    leader.kill()
    leader.communicate()
    app.wait_until(lambda: list(jobs(app).values()) == ["COMPLETED"])  # it could write its result


@pytest.mark.slow
def test_a_job_that_dies_is_retried_also_without_slurms_accounting(app: App) -> None:
    out = app.run(*SLURM, "h=0.1", "mode=killed", "hydra.sweeper.max_retries=1", status=FAILED)
    assert len(app.started()) == 2
    assert re.search(r"ended early after \d+ s: RuntimeError: its Slurm job has ended without a result: JobState=", out)
    id_ = min(jobs(app), key=int)
    assert f"trial 0  Slurm job {id_} has ended without a result; its output, if it has begun, is in {app.cwd}" in out


@pytest.mark.slow
def test_jobs_that_all_die_end_the_sweep(app: App) -> None:
    died = "hydra.launcher.setup=['exit 1']"
    out = app.run(*SLURM, "h=range(0,8)", died, "hydra.sweeper.max_retries=0", "hydra.sweeper.workers=4", status=FAILED)
    assert "trials have failed for one reason" in out
    assert len(jobs(app)) < 8


@pytest.mark.slow
def test_slurm_does_not_run_a_trials_job_again(app: App) -> None:
    """The sweep follows it by another one."""
    app.run(*SLURM, "h=0.1")
    [id_] = jobs(app)
    shown = subprocess.run(["scontrol", "show", "job", id_], capture_output=True, text=True, check=True).stdout
    assert "Requeue=0" in shown


@pytest.mark.slow
def test_a_result_that_comes_while_the_sweep_stops_is_kept(app: App) -> None:
    leader = app.start(*SLURM, "h=0.1", "mode=stubborn")
    app.wait_until(lambda: len(app.started()) == 1)
    app.await_file("hanging")
    leader.send_signal(signal.SIGTERM)
    app.wait_until(lambda: "RUNNING" not in jobs(app).values())
    (app.cwd / "go").touch()  # Slurm kills it 5 seconds later
    app.end(leader, status=143)
    assert [trial.value for trial in app.trials()] == pytest.approx([0.16])


@pytest.mark.slow
def test_a_cancelled_job_is_followed_by_another(app: App) -> None:
    """Its time in the queue is not the trial's."""
    waits = "+hydra.launcher.additional_parameters={begin: now+1hour}"
    leader = app.start(*SLURM, "h=0.1,0.5", waits, "hydra.sweeper.workers=2", "hydra.sweeper.trial_timeout=15")
    app.wait_until(lambda: list(jobs(app).values()) == ["PENDING"] * 2)
    subprocess.run(["scancel", min(jobs(app), key=int)], check=True)
    app.wait_until(lambda: len(jobs(app)) == 3)
    leader.send_signal(signal.SIGINT)
    out = app.end(leader, status=130)
    assert re.search(r"trial [01]  h=0.[15]  Slurm job \d+ waits: BeginTime\n", out)
    assert "its Slurm job was cancelled; it waits again" in out
    assert list(jobs(app).values()) == ["CANCELLED"] * 3
    assert not any("timeout" in trial.user_attrs.get("reason", "") for trial in app.trials())


@pytest.mark.slow
def test_a_job_whose_time_ends_is_followed_by_another(app: App) -> None:
    leader = app.start(*SLURM, "h=0.1", "mode=hang")
    app.wait_until(lambda: len(app.started()) == 1)
    [id_] = jobs(app)
    (app.cwd / "hanging").unlink()
    subprocess.run(["scancel", "--signal=USR2", id_], check=True)  # as Slurm does before the end
    app.wait_until(lambda: len(app.started()) == 2)
    (app.cwd / "go").touch()
    out = app.end(leader)
    assert "s: the time of its Slurm job ends (hydra.launcher.timeout_min=5); it waits again\n" in out
    assert [trial.state.name for trial in app.trials()] == ["FAIL", "COMPLETE"]
    assert app.trials()[1].user_attrs["requeues"] == 1
