"""Compute how many workers fit on this machine, and the part of it that each worker gets."""

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import psutil

from clipgan.base.nvidia_smi import read_gpus
from sweeps.base.errors import SweepError
from sweeps.base.settings import Settings

VISIBLE = "CUDA_VISIBLE_DEVICES"
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # a container's limit (it sees all cores of its host): MICROSECONDS PERIOD


def fitting_workers(settings: Settings) -> int:
    """Compute the number of workers to start: as asked for, else as GPUs allow, else as cores allow; memory limits it.

    With `workers_per_gpu=auto`, each GPU starts with one.

    Raises:
        SweepError: a trial has more processes than there are GPUs, or a GPU serves one process only.
    """
    processes, gpus, each = settings.processes, len(devices(settings)), settings.workers_per_gpu
    if settings.workers is not None and (each is None or not gpus):
        return settings.workers
    if 0 < gpus < processes:
        raise SweepError(
            f"processes={processes} is not allowed: each needs a GPU, and there are {gpus}; "
            "take fewer, or none with device=cpu hydra.sweeper.gpus=0"
        )
    if gpus and isinstance(each, int):
        if each > 1:
            _refuse_exclusive(each, devices(settings))
        return _at_most(settings.workers, max(1, gpus * each // processes))
    needs = processes * settings.threads if settings.threads else cores()
    n_workers = gpus // processes if gpus else cores() // needs
    return _at_most(settings.workers, max(1, min(n_workers, _memory_allows(settings))))


def workers_beside(settings: Settings, per_gpu: int, n_running: int) -> int:
    """Compute the number of workers with so many on each GPU; cores and memory limit it, but not below `n_running`.

    Args:
        n_running: workers that run now, and have taken their memory.
    """
    by_gpu = len(devices(settings)) * per_gpu // settings.processes
    by_cores = cores() // (settings.processes * (settings.threads or 1))
    by_memory = n_running + _memory_allows(settings)
    return max(n_running, _at_most(settings.workers, min(by_gpu, by_cores, by_memory)))


def _memory_allows(settings: Settings) -> int:
    """Compute for how many more trials there is memory."""
    if not settings.memory_gb:
        return sys.maxsize
    return int(psutil.virtual_memory().available / 1e9 / (settings.memory_gb * settings.processes))


def _at_most(asked: int | None, n_workers: int) -> int:
    return n_workers if asked is None else min(asked, n_workers)


def _refuse_exclusive(each: int, names: Sequence[str]) -> None:
    if any(gpu.exclusive for gpu in read_gpus() if gpu.is_any_of(names)):
        raise SweepError(
            f"hydra.sweeper.workers_per_gpu={each} is not allowed: a GPU here is in compute mode EXCLUSIVE_PROCESS, in"
            " which it serves one process; take 1, or let root run nvidia-smi --compute-mode=DEFAULT"
        )


def environment(settings: Settings, n_workers: int, index: int) -> dict[str, str]:
    """Return the environment variables that give a worker its share.

    Args:
        n_workers: number of workers on the machine.
        index: the worker's number, from 0.
    """
    threads = settings.threads or max(1, cores() // (n_workers * settings.processes))
    share = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}  # spinning threads would slow each other
    gpus = devices(settings)
    if gpus:
        first = index * settings.processes
        share[VISIBLE] = ",".join(gpus[(first + number) % len(gpus)] for number in range(settings.processes))
    return share


def devices(settings: Settings) -> list[str]:
    """List the GPUs for the workers by CUDA's names. The driver counts them, because importing torch takes seconds."""
    if settings.gpus == 0:
        return []
    if VISIBLE in os.environ:
        found = [name for name in os.environ[VISIBLE].split(",") if name not in ("", "-1")]
    else:
        found = [str(index) for index in range(_driver_count())]
    return found[: settings.gpus]


def cores() -> int:
    """Count the CPU cores that this process may use."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if CPU_QUOTA.exists():
        quota, period = CPU_QUOTA.read_text().split()
        if quota != "max":
            n_cores = min(n_cores, max(1, int(quota) // int(period)))
    return n_cores


@cache  # an answer may take seconds, and each worker's share asks
def _driver_count() -> int:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listed.splitlines())
