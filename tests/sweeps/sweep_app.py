"""A small Hydra app to sweep with, run as a user runs it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

REPOSITORY = Path(__file__).parents[2]
APP = Path(__file__).parent / "app" / "app.py"
TIMEOUT = 60  # seconds


@dataclass
class App:
    """The app in a directory of its own."""

    cwd: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *overrides: str) -> subprocess.Popen[str]:
        """Start `app.py -m OVERRIDES`."""
        # tests started in the background of a shell ignore SIGINT, and so would their children
        signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [sys.executable, str(APP), "-m", *overrides],
            cwd=self.cwd,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self, *overrides: str, status: int = 0) -> str:
        """Run it to its end, and return what it printed, standard error included."""
        return self.end(self.start(*overrides), status)

    def end(self, process: subprocess.Popen[str], status: int = 0) -> str:
        """Wait for the end of a process and check its exit status."""
        out, err = process.communicate(timeout=TIMEOUT)
        assert process.returncode == status, out + err
        return out + err

    def await_file(self, name: str) -> None:
        """Wait for a file that a job makes."""
        self.wait_until((self.cwd / name).exists)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that another process does."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def started(self) -> list[str]:
        """One line `RUN-DIRECTORY H LOSS` for each start of a job, in order."""
        log = self.cwd / "started.log"
        return log.read_text().splitlines() if log.exists() else []

    def study(self, name: str | None = None) -> optuna.Study:
        """A study, or the only one."""
        storage = f"sqlite:///{self.cwd}/sweeps.db"
        return optuna.load_study(study_name=name, storage=storage)

    def trials(self, name: str | None = None, state: TrialState | None = None) -> list[FrozenTrial]:
        """The trials of a study, or those in one state."""
        return self.study(name).get_trials(states=None if state is None else (state,))
