"""A real training as a Slurm job that is preempted or stopped: it saves its step, and its trial waits again."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from clipgan.engine.checkpoint_file import load_checkpoint
from tests.helpers import ROOT
from tests.tiny import tiny


def running_job(folder: Path) -> str | None:
    """The id of the job that was started from this folder, if it runs."""
    lines = subprocess.run(
        ["squeue", "-h", "-t", "R", "-o", "%i %Z"], capture_output=True, text=True, check=True
    ).stdout
    return next((line.split()[0] for line in lines.splitlines() if line.split()[1] == str(folder)), None)


@contextmanager
def sweep_of(cache_dir: Path, folder: Path, *overrides: str) -> Iterator["subprocess.Popen[str]"]:
    """A sweep of one point, whose job has taken the snapshot at 0 kimg."""
    command = [sys.executable, str(ROOT / "train.py"), "-m", *tiny(cache_dir), "h=0.5", "mlflow.tracking_uri=null",
               "hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.timeout_min=5",
               "hydra.sweep.dir=sweep", *overrides]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    sweep = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    try:
        while not (folder / "sweep" / "0" / "checkpoint-000000.pt").exists():
            assert sweep.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield sweep
    finally:
        sweep.kill()


@pytest.mark.slow
def test_a_preempted_training_saves_its_step_and_goes_on_in_another_job(
    slurm: None, cache_dir: Path, tmp_path: Path
) -> None:
    with sweep_of(cache_dir, tmp_path) as sweep:
        job = running_job(tmp_path)
        assert job is not None
        subprocess.run(["scancel", "--signal=TERM", job], check=True)  # as Slurm's preemption does, before KILL
        out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 0, out
    assert "preempted; it waits again" in out
    logs = [path.read_text() for path in sorted((tmp_path / "sweep" / ".submitit").glob("*/*.out"))]
    assert [bool(re.search(r"resumed at 0 kimg from .*, step [1-9]", log)) for log in logs] == [False, True]
    assert (tmp_path / "sweep" / "0" / "checkpoint-000002.pt").exists()


@pytest.mark.slow
def test_a_stopped_sweep_lets_its_job_save_its_step(slurm: None, cache_dir: Path, tmp_path: Path) -> None:
    long = ("kimg=2000", "snapshot_kimg=2000")
    with sweep_of(cache_dir, tmp_path, *long) as sweep:
        sweep.send_signal(signal.SIGTERM)
        out, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == 143, out
    assert running_job(tmp_path) is None
    assert load_checkpoint(tmp_path / "sweep" / "0" / "latest.pt", torch.device("cpu"))["state"]["step"] > 0
