"""A real training as a Slurm job that is preempted: it saves its step, and its trial waits again."""

import os
import subprocess
import sys
import time
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


@pytest.mark.slow
def test_a_preempted_training_saves_its_step_and_the_same_command_goes_on(
    slurm: None, cache_dir: Path, tmp_path: Path
) -> None:
    command = [sys.executable, str(ROOT / "train.py"), "-m", *tiny(cache_dir), "h=0.5", "mlflow.tracking_uri=null",
               "hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.timeout_min=5",
               "hydra.sweep.dir=sweep"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    sweep = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    run_dir, deadline = tmp_path / "sweep" / "0", time.monotonic() + 120
    while not (run_dir / "checkpoint-000000.pt").exists():
        assert sweep.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    job = running_job(tmp_path)
    assert job is not None
    subprocess.run(["scancel", "--signal=TERM", job], check=True)  # as Slurm's preemption does, some time before KILL
    out, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == 75, out
    assert "preempted" in out
    assert load_checkpoint(run_dir / "latest.pt", torch.device("cpu"))["state"]["step"] > 0
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout
    assert (run_dir / "checkpoint-000002.pt").exists()
