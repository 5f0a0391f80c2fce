"""Real faults: processes that die, stop or lose their host; no memory, a full disk, values that are not finite."""

import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from sweeps.base.errors import FAILED
from sweeps.workers.worker import TOO_LATE
from tests.sweeps import postgres as server
from tests.sweeps.sweep_app import App

OOM = "worker killed by SIGKILL; possibly out of memory: the kernel's OOM killer sends it"
CHECKPOINT = ("h=0.1,0.5,2", "mode=checkpoint", "only_at=0.5")
TWO = "hydra.sweeper.workers=2"


def completed(app: App) -> list[float]:
    """The axis h of the complete trials."""
    return sorted(trial.params["h"] for trial in app.trials(state=TrialState.COMPLETE))


def reasons(app: App) -> list[str]:
    return [trial.user_attrs["reason"] for trial in app.trials(state=TrialState.FAIL)]


def attempt(*command: str) -> subprocess.CompletedProcess[str]:
    """Run what not every machine allows."""
    return subprocess.run(command, check=False, capture_output=True, text=True)


def assert_continued(app: App) -> None:
    """The run of h=0.5 was started twice in one directory, and did each of its steps once."""
    assert Counter(app.started()) == Counter(["0 0.1 symmetric", *2 * ["1 0.5 symmetric"], "2 2 symmetric"])
    [steps] = app.cwd.glob("runs/*/1/steps.log")
    assert steps.read_text().split("\n")[:-1] == [f"step {step}" for step in (1, 2, 3, 4)]
    assert completed(app) == [0.1, 0.5, 2.0]


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_trial_continues(app: App) -> None:
    leader = app.start(*CHECKPOINT, TWO, "hydra.sweeper.max_retries=1")
    app.await_file("hanging")
    os.kill(app.owner_of(0.5), signal.SIGKILL)
    (app.cwd / "go").touch()
    out = app.end(leader)
    assert_continued(app)
    assert reasons(app) == [OOM]
    assert re.search(rf"trial 1  h=0.5  ended early after \d+ s: {re.escape(OOM)}; it waits again\n", out)


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [False, pytest.param(True, marks=pytest.mark.endurance)])
def test_after_the_death_of_the_leader_the_same_command_goes_on(app: App, whole_group: bool) -> None:
    leader = app.start(*CHECKPOINT, TWO)
    app.await_file("hanging")
    app.wait_until(lambda: completed(app) == [0.1, 2.0])
    workers = app.workers()
    leader.kill()
    for worker in workers if whole_group else ():
        worker.kill()
    assert psutil.wait_procs(workers, timeout=60)[1] == []  # they end with their leader
    (app.cwd / "go").touch()
    app.run(*CHECKPOINT, TWO)
    assert_continued(app)
    assert reasons(app) == ["orphaned"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "mode"),
    [
        (signal.SIGINT, 130, "stubborn"),
        pytest.param(signal.SIGTERM, 143, "hang", marks=pytest.mark.endurance),
        pytest.param(signal.SIGHUP, 129, "hang", marks=pytest.mark.endurance),
    ],
)
def test_a_stop_ends_all_workers_and_leaves_a_resumable_study(app: App, number: int, status: int, mode: str) -> None:
    command = ("h=0.1,0.5,2", f"mode={mode}", TWO, "hydra.sweeper.stop_seconds=3")
    leader = app.start(*command)
    app.wait_until(lambda: len(app.trials(state=TrialState.RUNNING)) == 2 and (app.cwd / "hanging").exists())
    workers = app.workers()
    leader.send_signal(number)
    app.timeout = 30
    out = app.end(leader, status=status)
    assert "Traceback" not in out
    assert not any(worker.is_running() for worker in workers)
    assert reasons(app) == ["interrupted", "interrupted"]
    waiting = [trial.params["h"] for trial in app.trials(state=TrialState.WAITING)]
    assert waiting[0] == 2.0  # it never ran; the two workers gave theirs back in either order
    assert sorted(waiting) == [0.1, 0.5, 2.0]
    (app.cwd / "go").touch()
    app.timeout = 60
    app.run(*command)
    assert completed(app) == [0.1, 0.5, 2.0]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.endurance)])
def test_a_sweep_whose_study_is_deleted_ends_with_one_message_and_can_begin_anew(app: App, workers: int) -> None:
    command = ("h=0.1,0.5", "mode=hang", f"hydra.sweeper.workers={workers}", "hydra.sweeper.stop_seconds=3")
    sweep = app.start(*command)
    app.await_file("hanging")
    optuna.delete_study(study_name=app.study().study_name, storage=app.url)
    (app.cwd / "go").touch()
    out = app.end(sweep, status=1)
    assert out.count("somebody has deleted it") == 1
    assert "Traceback" not in out
    app.run(*command)
    assert completed(app) == [0.1, 0.5]


@pytest.mark.slow
def test_a_crash_is_tried_again_after_the_others(app: App) -> None:
    app.run("h=0.1,0.5,2", "mode=raise_once", "only_at=0.1", "hydra.sweeper.max_retries=1")
    assert app.started() == ["0 0.1 symmetric", "1 0.5 symmetric", "2 2 symmetric", "0 0.1 symmetric"]
    assert completed(app) == [0.1, 0.5, 2.0]


@pytest.mark.slow
def test_after_its_retries_a_trial_has_failed_and_the_sweep_goes_on(app: App) -> None:
    out = app.run("h=0.1,0.5", "mode=killed", "only_at=0.1", TWO, "hydra.sweeper.max_retries=2", status=FAILED)
    assert app.started().count("0 0.1 symmetric") == 3
    assert reasons(app) == [OOM] * 3
    assert completed(app) == [0.5]
    assert f"failed: trial 0  h=0.1  {OOM}" in out


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.endurance)])
def test_permanent_failures_are_not_retried(app: App, workers: int) -> None:
    command = ("h=0.1,0.5", "mode=hopeless", "only_at=0.1", "hydra.sweeper.max_retries=2")
    out = app.run(*command, f"hydra.sweeper.workers={workers}", status=FAILED)
    assert app.started().count("0 0.1 symmetric") == 1
    assert reasons(app) == ["loss is nan at h=0.1"]
    assert "failed: trial 0  h=0.1  loss is nan at h=0.1" in out
    assert completed(app) == [0.5]


@pytest.mark.slow
def test_too_many_failures_end_the_sweep(app: App) -> None:
    out = app.run("h=range(0,5)", "mode=raise", "hydra.sweeper.max_failure_rate=0.4", status=FAILED)
    assert len(app.started()) == 3
    assert "given up: 60% of the trials have failed, which is more than hydra.sweeper.max_failure_rate=0.4" in out


@pytest.mark.slow
def test_first_trials_that_fail_for_one_reason_end_the_sweep(app: App) -> None:
    out = app.run("h=range(0,5)", "mode=exit", "hydra.sweeper.max_retries=1", status=FAILED)
    assert len(app.started()) == 6  # a crash is tried again, before further points start
    reason = "the job ended with SystemExit(3) and returned no objective"
    assert f"given up: the first 3 trials have failed for one reason (2 wait): {reason}\n" in out
    app.run("h=range(0,5)", "hydra.sweeper.retry_failed=true")
    assert sorted(completed(app)) == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_kinds_of_failures_are_distinguished(app: App) -> None:
    app.run("mode=not_a_number,memory,gpu_memory,quota,exit", status=FAILED)
    assert reasons(app) == [
        "not finite: the objective is nan",
        "out of memory: MemoryError:",
        "out of memory: OutOfMemoryError: CUDA out of memory",
        "disk full: OSError: [Errno 122] Disk quota exceeded",
        "the job ended with SystemExit(3) and returned no objective",
    ]


@pytest.mark.slow
def test_a_full_disk_is_reported_and_the_sweep_continues(app: App) -> None:
    disk = app.cwd / "disk"
    disk.mkdir()
    mount = attempt("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk))
    if mount.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mount.stderr.strip()}")
    try:
        app.run("h=0.5,2", "mode=fill", "only_at=0.5", f"hydra.sweep.dir={disk}/s", TWO, status=FAILED)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
    assert reasons(app) == ["disk full: OSError: [Errno 28] No space left on device"]
    assert completed(app) == [2.0]


@pytest.mark.slow
def test_a_preempted_job_goes_on_later_and_is_no_failure(app: App) -> None:
    command = ("h=0.1,0.5", "mode=preempted", "only_at=0.1")
    out = app.run(*command, status=75)
    assert re.search(r"h=0\.1  ended early after \d+ s: preempted; it waits again", out)
    app.run(*command)
    assert completed(app) == [0.1, 0.5]
    assert [line.split()[1] for line in app.started()] == ["0.1", "0.5", "0.1"]  # the other one had its turn first
    (app.cwd / "preempted").unlink()
    app.run(*command, "batch=8", TWO)  # workers are replaced
    assert app.started().count("0 0.1 symmetric") == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "workers", "reason"),
    [
        ("os_exit", 1, "the job ended with SystemExit(0) and returned no objective"),
        pytest.param(
            "c_exit",
            2,
            "the job has ended its worker's process with status 0, which gives no result",
            marks=pytest.mark.endurance,
        ),
    ],
)
def test_a_job_that_ends_the_process_has_failed_and_the_others_run(
    app: App, mode: str, workers: int, reason: str
) -> None:
    command = ("h=0.1,0.5,2", f"mode={mode}", "only_at=0.1", f"hydra.sweeper.workers={workers}")
    assert f"failed: trial 0  h=0.1  {reason}" in app.run(*command, status=FAILED)
    assert completed(app) == [0.5, 2.0]
    assert reasons(app) == [reason]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "cause"),
    [("again", "preempted"), pytest.param("signals_itself", "stopped by SIGTERM", marks=pytest.mark.endurance)],
)
def test_a_job_that_asks_to_run_later_waits_behind_the_others_and_not_without_end(
    app: App, mode: str, cause: str
) -> None:
    command = ("h=0.1,0.5,2", f"mode={mode}", "only_at=0.1", TWO, "hydra.sweeper.max_requeues=1", "seconds=0.2")
    app.run(*command, status=FAILED)
    assert reasons(app) == [cause, f"{cause} 2 times, which is more than hydra.sweeper.max_requeues=1"]
    assert completed(app) == [0.5, 2.0]
    assert [line.split()[1] for line in app.started()][-1] == "0.1"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.endurance), 2])
def test_what_a_job_has_left_running_does_not_hold_the_sweep(app: App, workers: int) -> None:
    command = ("h=0.1,0.5", "mode=leaves", "only_at=0.1", f"hydra.sweeper.workers={workers}")
    app.run(*command, "hydra.sweeper.stop_seconds=1")
    assert completed(app) == [0.1, 0.5]
    child = int((app.cwd / "child").read_text())
    app.wait_until(lambda: has_ended(child))
    assert len(list(app.cwd.glob("runs/*/workers/*.log"))) in (0, workers)


@pytest.mark.slow
def test_a_job_that_leaves_its_directory_changes_nothing_for_the_next(app: App) -> None:
    app.run("h=0.1,0.5,2", "mode=wander", "only_at=0.1")
    assert completed(app) == [0.1, 0.5, 2.0]
    assert app.started() == ["0 0.1 symmetric", "1 0.5 symmetric", "2 2 symmetric"]  # in the command's directory


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGTERM, 1), pytest.param(signal.SIGINT, 2, marks=pytest.mark.endurance)]
)
def test_a_signal_that_became_another_exception_stops_all_the_same(app: App, number: int, workers: int) -> None:
    command = ("h=0.1,0.5,2", "mode=swallow", f"hydra.sweeper.workers={workers}")
    leader = app.start(*command)
    app.wait_until(lambda: len(app.started()) == workers and (app.cwd / "hanging").exists())
    leader.send_signal(number)
    out = app.end(leader, status=128 + number)
    assert "Traceback" not in out
    assert len(app.started()) == workers  # no further trial
    assert set(reasons(app)) == {"interrupted"}
    (app.cwd / "go").touch()
    app.run(*command)
    assert completed(app) == [0.1, 0.5, 2.0]


@pytest.mark.slow
def test_a_job_that_raises_keyboard_interrupt_has_crashed(app: App) -> None:
    app.run("h=0.1,0.5,2", "mode=interrupt", "only_at=0.5", TWO, "hydra.sweeper.max_retries=0", status=FAILED)
    assert reasons(app) == ["KeyboardInterrupt:"]
    assert completed(app) == [0.1, 2.0]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.endurance)])
def test_a_database_that_restarts_costs_no_trial(app: App, postgres: server.Server, workers: int) -> None:
    app.storage = postgres.create(f"restarts{workers}")
    leader = app.start(*CHECKPOINT, f"hydra.sweeper.workers={workers}")
    app.await_file("hanging")
    postgres.control("stop")
    (app.cwd / "go").touch()
    time.sleep(2)  # a trial ends, and nobody can be told
    assert leader.poll() is None
    postgres.control("start")
    app.end(leader)
    assert completed(app) == [0.1, 0.5, 2.0]
    assert reasons(app) == []
    assert len(app.started()) == 3


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or a zombie that nobody reaps."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill_at_random(app: App, n_kills: int, n_points: int) -> None:
    """A sweep of short trials, whose workers are killed at random moments; the last trial ends after the last kill."""
    generator = random.Random(0)
    last = ("mode=hang", f"only_at={n_points - 1}")
    retries = "hydra.sweeper.max_retries=1000"
    leader = app.start(f"h=range(0,{n_points})", "seconds=0.3", *last, "hydra.sweeper.workers=3", retries)
    for _ in range(n_kills):
        time.sleep(generator.uniform(0.0, 0.5))
        app.wait_until(lambda: bool(app.trials(state=TrialState.RUNNING)))  # or none would ever get to a trial
        app.wait_until(lambda: bool(app.workers()))
        with suppress(psutil.NoSuchProcess, IndexError):  # it may end by itself just now
            generator.choice(app.workers()).kill()
    (app.cwd / "go").touch()
    app.end(leader)
    assert completed(app) == [float(h) for h in range(n_points)]
    assert all(reason == OOM for reason in reasons(app))


@pytest.mark.slow
def test_random_kills_lose_nothing(app: App) -> None:
    kill_at_random(app, n_kills=3, n_points=9)


@pytest.mark.endurance
def test_fifty_random_kills_lose_nothing(app: App) -> None:
    app.timeout = 400
    kill_at_random(app, n_kills=50, n_points=150)


def on_host(app: App, name: str) -> App:
    """The same app, as if on another host: a name and process ids of its own."""
    prefix = ("unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c")
    return App(app.cwd, app.storage, app.timeout, (*prefix, f'hostname {name} && exec "$@"', "sh"), app.processes)


@pytest.fixture
def hosts(app: App, postgres: object, tmp_path: Path) -> tuple[App, App]:
    """Two hosts that share a PostgreSQL."""
    probe = attempt("unshare", "--uts", "--pid", "--fork", "--mount-proc", "hostname", "probe")
    if probe.returncode != 0:
        pytest.skip(f"no second host can be made here: {probe.stderr.strip()}")
    app.storage = postgres.create(tmp_path.name)  # type: ignore[attr-defined]
    return on_host(app, "node1"), on_host(app, "node2")


@pytest.mark.slow
def test_the_trial_of_a_host_that_is_cut_off_is_given_to_another(hosts: tuple[App, App]) -> None:
    one, two = hosts
    command = (*CHECKPOINT, "hydra.sweeper.heartbeat=1", "hydra.sweeper.grace=3")
    first = one.start(*command)
    one.await_file("hanging")
    [family] = [psutil.Process(first.pid).children(recursive=True)]
    for process in family:
        process.suspend()  # its database connection stays open, and it stops beating
    second = two.start(*command)
    one.wait_until(lambda: one.started().count("1 0.5 symmetric") == 2)
    (one.cwd / "go").touch()
    two.end(second)
    assert completed(one) == [0.1, 0.5, 2.0]
    for process in family:
        process.resume()
    out = one.end(first)
    assert f"trial 1  h=0.5  FAIL {TOO_LATE.reason}" in out
    assert completed(one) == [0.1, 0.5, 2.0]
    assert reasons(one) == ["host node1 has sent no heartbeat for 3 s"]


@pytest.mark.endurance
def test_two_hosts_share_one_study(hosts: tuple[App, App]) -> None:
    leaders = [host.start("h=range(0,12)", "mode=hang", TWO) for host in hosts]
    hosts[0].wait_until(lambda: len(hosts[0].started()) == 4)
    (hosts[0].cwd / "go").touch()
    for host, leader in zip(hosts, leaders, strict=True):
        assert "study h-" in host.end(leader)
    assert Counter(hosts[0].started()) == Counter(f"{n} {n} symmetric" for n in range(12))
    owners = Counter(trial.user_attrs["owner"]["host"] for trial in hosts[0].trials())
    assert set(owners) == {"node1", "node2"}
