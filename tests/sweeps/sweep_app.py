"""A small Hydra app to sweep with, run as a user runs it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.trial import FrozenTrial, TrialState

from sweeps.study.storage import open_storage
from tests import warm

Process = subprocess.Popen[str] | warm.Popen
REPOSITORY = Path(__file__).parents[2]
APP = Path(__file__).parent / "app" / "app.py"
TIMEOUT = 60  # seconds


@dataclass
class App:
    """The app in a directory of its own."""

    cwd: Path
    storage: str | None = None  # URL; None: the app's default, a file in its directory
    timeout: float = TIMEOUT
    prefix: tuple[str, ...] = ()  # of the command line, as `unshare --uts`
    processes: list[Process] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where its studies live."""
        return self.storage or f"sqlite:///{self.cwd}/sweeps.db"

    def start(self, *overrides: str) -> Process:
        """Start `app.py -m OVERRIDES`."""
        storage = () if self.storage is None else (f"hydra.sweeper.storage={self.storage}",)
        start: Any = subprocess.Popen if self.prefix else warm.Popen
        process = start(
            [*self.prefix, sys.executable, str(APP), "-m", *overrides, *storage],
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

    def end(self, process: Process, status: int = 0) -> str:
        """Wait for the end of a process and check its exit status."""
        out, err = process.communicate(timeout=self.timeout)
        assert process.returncode == status, out + err
        return out + err

    def owner_of(self, h: float) -> int:
        """Process id of the worker that runs the point h."""
        [trial] = [trial for trial in self.trials(state=TrialState.RUNNING) if trial.params["h"] == h]
        return int(trial.user_attrs["owner"]["pid"])

    def workers(self) -> list[psutil.Process]:
        """The worker processes of the commands that were started."""
        leaders = [psutil.Process(process.pid) for process in self.processes if process.poll() is None]
        return [child for leader in leaders for child in leader.children()]

    def await_file(self, name: str) -> None:
        """Wait for a file that a job makes."""
        self.wait_until((self.cwd / name).exists)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that another process does."""
        deadline = time.monotonic() + self.timeout
        while not condition():
            if time.monotonic() > deadline:
                ended = {
                    process.poll(): process.communicate() for process in self.processes if process.poll() is not None
                }
                raise AssertionError(f"waited for {self.timeout} s; commands that have ended: {ended}")
            time.sleep(0.02)

    def started(self) -> list[str]:
        """One line `RUN-DIRECTORY H LOSS` for each start of a job, in order."""
        log = self.cwd / "started.log"
        return log.read_text().splitlines() if log.exists() else []

    def study(self, name: str | None = None) -> optuna.Study:
        """A study, or the only one."""
        return optuna.load_study(study_name=name, storage=open_storage(self.url))

    def trials(self, name: str | None = None, state: TrialState | None = None) -> list[FrozenTrial]:
        """The trials of a study, or those in one state; none where there is no study yet."""
        if name is None and not optuna.get_all_study_names(open_storage(self.url)):
            return []
        return self.study(name).get_trials(states=None if state is None else (state,))


@contextmanager
def app_in(directory: Path) -> Iterator[App]:
    """The app in an empty directory; what it leaves running is killed."""
    app = App(directory)
    yield app
    for process in app.processes:
        if process.poll() is None:
            process.kill()
            process.communicate()
