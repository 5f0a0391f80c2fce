"""`hydra.sweeper.workers_per_gpu=auto`: how many trials share a GPU."""

import os
from pathlib import Path

import pytest
from optuna.trial import TrialState

from sweeps.base.settings import Settings
from sweeps.points.trial_record import TrialRecord
from sweeps.study.owner import this_process
from sweeps.workers import machine
from sweeps.workers.gpu_sharing import MOST, SAMPLES, WITH_MPS, GpuSharing, has_mps, sharing_of, trials_per_gpu
from tests.sweeps.sweep_app import App

DRIVER = """#!/bin/sh
if [ "$1" = -L ]; then
    echo 'GPU 0: NVIDIA H100 (UUID: GPU-a)'; echo 'GPU 1: NVIDIA H100 (UUID: GPU-b)'
elif [ -e {busy} ]; then
    echo '0, GPU-a, 80000, 8004, 24, {mode}'; echo '1, GPU-b, 80000, 4004, 31, {mode}'
else
    echo '0, GPU-a, 80000, 4, 0, {mode}'; echo '1, GPU-b, 80000, 4, 0, {mode}'
fi
"""


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with two GPUs, which trials use once the file `busy` is there."""
    install(tmp_path, "Default")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(machine, "cores", lambda: 100)
    return tmp_path


def install(folder: Path, mode: str) -> None:
    path = folder / "nvidia-smi"
    path.write_text(DRIVER.format(busy=folder / "busy", mode=mode))
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("memory", "before", "used", "busy", "expected"),
    [
        (80, 0, 2, 30, 3),  # the time of 3.3 trials
        (80, 0, 2, 50, 2),
        (80, 0, 2, 51, 1),
        (80, 0, 2, 100, 1),
        (80, 0, 2, 0, MOST),
        (80, 0, 24, 10, 3),  # 72 of 80 are for trials
        (80, 0, 40, 10, 1),
        (80, 30, 44, 10, 3),  # others use 30: two more of 14 end at 72
        (80, 30, 45, 10, 2),
        (80, 0, 79, 10, 1),
        (80, 5, 5, 10, 1),  # it uses no memory of this GPU
        (80, 5, 4, 10, 1),
    ],
)
def test_memory_and_time_decide(memory: float, before: float, used: float, busy: float, expected: int) -> None:
    assert trials_per_gpu(memory, before, used, busy) == expected


def test_with_mps_a_busy_gpu_has_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert [trials_per_gpu(80, 0, 2, busy, mps=True) for busy in (100, 30, 20)] == [WITH_MPS, WITH_MPS, 5]
    assert trials_per_gpu(80, 0, 40, 100, mps=True) == 1  # memory
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    assert not has_mps()
    (tmp_path / "nvidia-cuda-mps-control.pid").write_text(f"{os.getpid()}\n")
    assert has_mps()
    (tmp_path / "nvidia-cuda-mps-control.pid").write_text(f"{2**22 + 1}\n")  # of a daemon that was killed
    assert not has_mps()


def running(number: int, pid: int, *steps: int) -> TrialRecord:
    owner = {**this_process(), "pid": pid}
    return TrialRecord(number, "RUNNING", {"h": 1.0}, steps=dict.fromkeys(steps, 1.0), owner=owner)


def started(driver: Path, said: list[str], n_open: int = 100, **settings: object) -> GpuSharing:
    sharing = sharing_of(Settings(workers_per_gpu="auto", **settings), lambda: n_open, said.append)  # type: ignore[arg-type]
    assert sharing is not None
    (driver / "busy").touch()
    return sharing


def test_the_first_trials_are_measured_once_they_have_trained(driver: Path) -> None:
    said: list[str] = []
    sharing = started(driver, said)
    workers = [11, 12]
    assert sharing.further([running(0, 11, 0), running(1, 12, 0, 1, 2)], workers) == []  # the second one was resumed
    assert sharing.further([running(0, 11, 0, 1), running(1, 12, 0, 1, 2)], workers) == []
    assert not sharing._samples
    for changed in ([running(1, 12, 0, 1, 2, 3)], *[[]] * (SAMPLES - 2)):
        assert sharing.further(changed, workers) == []
    shares = sharing.further([], workers)
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares] == ["0", "1"] * 2
    assert said == [
        "workers_per_gpu=auto: a trial uses 7.8 GiB of its GPU and keeps it busy for 31 % of the time, so 3 fit on a"
        " GPU; 6 workers in all"
    ]
    assert sharing.further([running(2, 11, 0, 5)], workers) == []  # once


@pytest.mark.parametrize(("limit", "expected"), [({"workers": 3}, 1), ({"n_open": 2}, 2), ({"memory_gb": 1e6}, 0)])
def test_what_the_user_asked_for_and_what_is_left_limit_it(driver: Path, limit: dict[str, int], expected: int) -> None:
    sharing = started(driver, [], **limit)
    sharing.further([running(0, 11), running(1, 12)], [11, 12])
    shares = [sharing.further([running(0, 11, 1), running(1, 12, 1)], [11, 12]) for _ in range(SAMPLES)]
    assert [len(share) for share in shares] == [0] * (SAMPLES - 1) + [expected]


def test_where_nothing_is_measured_one_line_says_so(driver: Path) -> None:
    said: list[str] = []
    assert sharing_of(Settings(), lambda: 9, said.append) is None
    assert sharing_of(Settings(workers_per_gpu="auto", gpus=0), lambda: 9, said.append) is None
    assert said == []
    install(driver, "Exclusive_Process")
    assert sharing_of(Settings(workers_per_gpu="auto"), lambda: 9, said.append) is None
    assert "EXCLUSIVE_PROCESS" in said.pop()
    path = driver / "nvidia-smi"
    path.write_text(path.read_text().replace("0, Exclusive", "[N/A], Exclusive"))
    assert sharing_of(Settings(workers_per_gpu="auto"), lambda: 9, said.append) is None
    assert "does not tell memory and use" in said.pop()
    assert said == []


@pytest.mark.slow
@pytest.mark.skipif(machine.cores() < 2, reason="each worker needs a core")
def test_a_sweep_adds_workers_while_it_runs(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """One GPU, which a trial uses once its job has begun; the first trial goes on until a second one runs beside it."""
    path = app.cwd / "nvidia-smi"
    path.write_text(
        f"#!/bin/sh\nused=4; [ -e {app.cwd}/jobs ] && used=2004\necho 0, GPU-a, 80000, $used, 30, Default\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{app.cwd}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    settings = ("workers=null", "workers_per_gpu=auto", "memory_gb=0.001")
    out = app.run("h=1,2,3,4", "mode=beside", *(f"hydra.sweeper.{setting}" for setting in settings))
    assert "1 worker; their output is in" in out
    assert f"so 3 fit on a GPU; {min(3, machine.cores())} workers in all" in out
    assert len(app.trials(state=TrialState.COMPLETE)) == 4
