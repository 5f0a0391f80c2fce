"""Compute how many workers fit on this machine, and the part of it that each worker gets."""

import os
import subprocess
from pathlib import Path

import psutil

from sweeps.base.errors import SweepError
from sweeps.base.settings import Settings

VISIBLE = "CUDA_VISIBLE_DEVICES"
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # a container's limit (it sees all cores of its host): MICROSECONDS PERIOD


def fitting_workers(settings: Settings) -> int:
    """Compute the number of workers: as asked for, else as GPUs allow, else as cores allow; memory limits it.

    Raises:
        SweepError: a trial has more processes than there are GPUs.
    """
    if settings.workers is not None:
        return settings.workers
    processes, gpus = settings.processes, len(devices(settings))
    if 0 < gpus < processes:
        raise SweepError(
            f"processes={processes} is not allowed: each needs a GPU, and there are {gpus}; "
            "take fewer, or none with device=cpu hydra.sweeper.gpus=0"
        )
    needs = processes * settings.threads if settings.threads else cores()
    n_workers = gpus // processes if gpus else cores() // needs
    if settings.memory_gb:
        n_workers = min(n_workers, int(psutil.virtual_memory().available / 1e9 / (settings.memory_gb * processes)))
    return max(1, n_workers)


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


def _driver_count() -> int:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listed.splitlines())
