"""A job in its own process ends when its trial is taken away."""

import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from tests.sweeps.sweep_app import REPOSITORY

CODE = """
import sys, time
from sweeps.job import watchdog
from sweeps.job.current_trial import RunningTrial
watchdog.EVERY = 0.1
with watchdog.ending_with(RunningTrial(sys.argv[1], "s", 0, None)):
    print("runs", flush=True)
    time.sleep(float(sys.argv[2]))
print("ends by itself")
"""


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    study = optuna.create_study(study_name="s", storage=f"sqlite:///{tmp_path}/s.db")
    study.ask()
    return study


def start(tmp_path: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, f"sqlite:///{tmp_path}/s.db", str(seconds)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "runs\n"
    return process


def test_it_ends_when_the_trial_is_taken_away(tmp_path: Path, study: optuna.Study) -> None:
    process = start(tmp_path, 60)
    study.tell(0, state=TrialState.FAIL)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "")
    assert "the trial was given to another process: this process ends" in err


def test_it_ends_by_itself_while_the_trial_runs(tmp_path: Path, study: optuna.Study) -> None:
    out, _ = start(tmp_path, 0.5).communicate(timeout=30)
    assert out == "ends by itself\n"
