"""The number of workers that fit on a machine, and each worker's share of it."""

import os
import sys
from pathlib import Path

import pytest

from sweeps.base.errors import SweepError
from sweeps.base.settings import Settings
from sweeps.workers import machine
from sweeps.workers.machine import cores, environment, fitting_workers, workers_beside


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_the_requested_number_counts() -> None:
    assert fitting_workers(Settings(workers=7, memory_gb=1e6)) == 7


def test_cores_are_shared_by_threads() -> None:
    assert fitting_workers(Settings(threads=1)) == cores()
    assert fitting_workers(Settings(threads=10_000)) == 1
    assert fitting_workers(Settings(threads=None)) == 1


def test_memory_limits() -> None:
    assert fitting_workers(Settings(threads=1, memory_gb=1e6)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs CPU affinity")
def test_a_process_may_have_fewer_cores_than_its_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(machine, "CPU_QUOTA", quota)
    quota.write_text("100000 100000\n")
    assert cores() == 1
    quota.write_text("max 100000\n")
    assert cores() == len(before)


def test_each_worker_gets_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-7")
    assert fitting_workers(Settings()) == 2
    assert [environment(Settings(), 3, place)["CUDA_VISIBLE_DEVICES"] for place in range(3)] == ["2", "GPU-7", "2"]
    assert environment(Settings(gpus=1), 2, 1)["CUDA_VISIBLE_DEVICES"] == "2"
    assert "CUDA_VISIBLE_DEVICES" not in environment(Settings(gpus=0), 2, 1)


def test_a_trial_of_several_processes_gets_as_many_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    settings = Settings(processes=2, memory_gb=0.001)
    assert fitting_workers(settings) == 2  # the fifth GPU is one too few for a third
    assert [environment(settings, 2, place)["CUDA_VISIBLE_DEVICES"] for place in range(2)] == ["0,1", "2,3"]


def test_a_trial_with_more_processes_than_gpus_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(SweepError, match=r"processes=3 is not allowed: each needs a GPU, and there are 2"):
        fitting_workers(Settings(processes=3))
    assert fitting_workers(Settings(processes=3, gpus=0)) == 1


def test_each_process_of_a_trial_takes_its_threads() -> None:
    assert fitting_workers(Settings(processes=cores(), memory_gb=0.001)) == 1
    assert environment(Settings(processes=3, threads=None), 10_000, 0)["OMP_NUM_THREADS"] == "1"


def test_the_driver_is_asked_for_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho '  MIG 1g'\necho 'GPU 1: A (UUID: y)'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert fitting_workers(Settings()) == 2
    assert environment(Settings(), 2, 1)["CUDA_VISIBLE_DEVICES"] == "1"


def test_threads_do_not_spin() -> None:
    share = environment(Settings(threads=3), 2, 0)
    assert share == {"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "PASSIVE"}
    assert environment(Settings(threads=None), 10_000, 0)["OMP_NUM_THREADS"] == "1"


def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """A driver that answers with these lines."""
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_several_workers_on_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-7")
    settings = Settings(workers_per_gpu=3, memory_gb=1e6)  # a number that is asked for counts
    assert fitting_workers(settings) == 6
    places = [environment(settings, 6, place)["CUDA_VISIBLE_DEVICES"] for place in range(6)]
    assert places == ["2", "GPU-7"] * 3
    assert fitting_workers(Settings(workers_per_gpu=3, workers=4)) == 4
    assert fitting_workers(Settings(workers_per_gpu=3, workers=9)) == 6
    assert fitting_workers(Settings(workers_per_gpu=1, workers=9)) == 2
    assert fitting_workers(Settings(workers_per_gpu="auto", memory_gb=0.001)) == 2
    assert fitting_workers(Settings(workers_per_gpu="auto", workers=1)) == 1


def test_trials_of_several_processes_fill_the_gpus_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    settings = Settings(processes=2, workers_per_gpu=2)
    assert fitting_workers(settings) == 3
    assert [environment(settings, 3, place)["CUDA_VISIBLE_DEVICES"] for place in range(3)] == ["0,1", "2,0", "1,2"]


def test_without_a_gpu_workers_per_gpu_changes_nothing() -> None:
    for value in (3, "auto"):
        assert fitting_workers(Settings(workers_per_gpu=value)) == fitting_workers(Settings())
        assert fitting_workers(Settings(workers_per_gpu=value, workers=9)) == 9


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (-1, "-1"), (2.5, "2.5"), (True, "true"), ("many", "many")])
def test_a_wrong_number_on_each_gpu_is_refused(value: object, shown: str) -> None:
    message = rf"hydra\.sweeper\.workers_per_gpu={shown} is not allowed: it must be auto, or a whole number from 1"
    with pytest.raises(SweepError, match=message):
        Settings(workers_per_gpu=value).check()


def test_a_gpu_for_one_process_gets_one_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    smi(tmp_path, monkeypatch, "0, GPU-7, 81559, 4, 0, Exclusive_Process")
    with pytest.raises(SweepError, match=r"workers_per_gpu=2 is not allowed: a GPU here is in .* EXCLUSIVE_PROCESS"):
        fitting_workers(Settings(workers_per_gpu=2))
    assert fitting_workers(Settings(workers_per_gpu=1)) == 1
    smi(tmp_path, monkeypatch, "0, GPU-7, 81559, 4, 0, Default")
    assert fitting_workers(Settings(workers_per_gpu=2)) == 2


def test_cores_and_memory_limit_further_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(machine, "cores", lambda: 6)
    assert workers_beside(Settings(), 2, n_running=2) == 4
    assert workers_beside(Settings(), 8, n_running=2) == 6
    assert workers_beside(Settings(threads=2), 8, n_running=2) == 3
    assert workers_beside(Settings(threads=6), 8, n_running=2) == 2
    assert workers_beside(Settings(workers=5), 8, n_running=2) == 5
    assert workers_beside(Settings(memory_gb=1e6), 8, n_running=2) == 2
    assert workers_beside(Settings(processes=2), 2, n_running=1) == 2
