"""A sweep that goes on without the process that has submitted it: what needs no Slurm. tests/slurm has the rest."""

import json
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState

from sweeps.base.environment import DETACHED
from sweeps.base.errors import SweepError
from sweeps.base.settings import Settings
from sweeps.workers.detached import CLUSTER, JOBS_BEGUN, DetachedLeader, check_detach, jobs_begun
from tests.sweeps.study.test_claims import Study
from tests.sweeps.sweep_app import App
from tests.sweeps.workers.test_callbacks import RECORDER

SLURM = ("hydra/launcher=submitit_slurm", "hydra.sweeper.detach=true")


def config(target: str, launcher: str) -> DictConfig:
    """What of a sweep's config the check reads."""
    hydra = {
        "launcher": {"_target_": target},
        "runtime": {"choices": {"hydra/launcher": launcher}},
        "overrides": {"hydra": [], "task": []},
        "callbacks": None,
    }
    return OmegaConf.create({"hydra": hydra})


@pytest.mark.parametrize(
    ("launcher", "workers", "argument", "message"),
    [
        (
            "submitit_local",
            2,
            "h=1",
            "not allowed with hydra/launcher=submitit_local: .*=submitit_slurm",
        ),
        ("submitit_slurm", None, "h=1", "needs hydra.sweeper.workers=N, the number of Slurm jobs"),
        ("submitit_slurm", 2, "hydra.sweeper.storage=postgresql://me:secret@host/db", "with a password on the command"),
        ("submitit_slurm", 2, "h=1", None),
    ],
)
def test_what_cannot_be_detached_is_refused(
    monkeypatch: pytest.MonkeyPatch, launcher: str, workers: int | None, argument: str, message: str | None
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "t.py", "-m", argument])
    target = CLUSTER if launcher == "submitit_slurm" else f"{CLUSTER.rpartition('.')[0]}.LocalLauncher"
    if message is None:
        check_detach(Settings(workers=workers, detach=True), config(target, launcher))
        return
    with pytest.raises(SweepError, match=message) as refused:
        check_detach(Settings(workers=workers, detach=True), config(target, launcher))
    assert "secret" not in str(refused.value)


def test_the_time_of_a_detached_sweep_begins_with_its_first_job(tmp_path: Path) -> None:
    before = time.time()
    study = Study(tmp_path)
    begun = jobs_begun(study.open())
    assert before <= begun <= time.time()
    assert jobs_begun(study.open()) == begun


WAIT = """
import pathlib, os, signal, time
pathlib.Path("pid").write_text(str(os.getpid()))
time.sleep(600)
"""


def test_a_jobs_command_is_stopped_before_slurm_requeues_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitit = pytest.importorskip("submitit", reason="pip install hydra-submitit-launcher")
    monkeypatch.chdir(tmp_path)
    leader = DetachedLeader([sys.executable, "-S", "-c", WAIT], {DETACHED: "[]"})
    threading.Thread(target=leader, daemon=True).start()
    while not Path("pid").exists() or not Path("pid").read_text():
        time.sleep(0.01)
    process = psutil.Process(int(Path("pid").read_text()))
    process.send_signal(signal.SIGUSR2)  # which Slurm sends to all processes, and submitit heeds
    assert process.environ()[DETACHED] == "[]"
    again = leader.checkpoint()
    assert not process.is_running()  # so that its trial waits, and its checkpoint is whole, when the job runs again
    assert isinstance(again, submitit.helpers.DelayedSubmission)
    assert again.function == DetachedLeader(leader.command, leader.environment)


@pytest.mark.slow
def test_a_detached_leader_reads_the_command_as_its_submitter_does(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file names Slurm's launcher, and a setting of Hydra's refers to a job's number."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="pip install hydra-submitit-launcher")
    group = app.cwd / "conf" / "cluster"
    group.mkdir(parents=True)
    launcher = "defaults: [override /hydra/launcher: submitit_slurm]\nhydra: {launcher: {timeout_min: 9}}\n"
    (group / "slurm.yaml").write_text(f"# @package _global_\n{launcher}")
    points = ("h=0.1,0.5", "mode=hang", "hydra.sweep.subdir=x${hydra.job.num}")
    queueing = app.start(*points)
    app.await_file("hanging")
    queueing.send_signal(signal.SIGINT)
    app.end(queueing, status=130)
    (app.cwd / "go").touch()
    monkeypatch.setenv(DETACHED, "[]")
    app.run(*points, "hydra.sweeper.workers=1", "+cluster=slurm", f"hydra.searchpath=[file://{app.cwd}/conf]")
    assert [trial.params["h"] for trial in app.trials(state=TrialState.COMPLETE)] == [0.5, 0.1]
    assert len(app.started()) == 3  # the stopped job, and each point once


@pytest.mark.slow
def test_a_detached_leader_runs_jobs_itself_and_leaves_when_none_is_left_to_start(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="pip install hydra-submitit-launcher")
    points = ("h=0.1,0.5", "mode=hang", "only_at=0.1", "hydra.sweeper.workers=2")
    assert "is not allowed with hydra/launcher=basic" in app.run(*points, "hydra.sweeper.detach=true", status=1)
    assert not (app.cwd / "sweeps.db").exists()
    queueing = app.start(*points[:2])
    app.await_file("hanging")
    queueing.send_signal(signal.SIGINT)
    app.end(queueing, status=130)
    (app.cwd / "hanging").unlink()

    removed = "~hydra.callbacks.recorder"
    monkeypatch.setenv(DETACHED, json.dumps([removed]))
    command = (*RECORDER, *points, *SLURM, removed)
    app.study().set_user_attr(JOBS_BEGUN, time.time() - 3601)  # when the first job of this sweep began
    late = app.run(*command, "hydra.sweeper.timeout=1h", status=75)
    assert "hydra.sweeper.timeout=1h is over: no further trial starts" in late
    assert len(app.started()) == 1
    first = app.start(*command)
    app.await_file("hanging")
    out = app.run(*command)
    assert "h=0.5  COMPLETE value 0 in" in out
    assert "running in another process: 1" in out
    assert first.poll() is None
    (app.cwd / "go").touch()
    assert "best: trial 1  h=0.5  value 0" in app.end(first)
    assert len(app.started()) == 3  # the stopped job, and each point once
    events = [line.split()[0] for line in (app.cwd / "events.log").read_text().splitlines()]
    assert (events.count("on_job_start"), events.count("on_multirun_start")) == (2, 0)  # the submitter has called it
