"""A callback that writes a line `EVENT PROCESS-ID JOB` for each of Hydra's events."""

import os
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class Recorder(Callback):
    def __init__(self, log: str) -> None:
        self._log = Path(log).absolute()

    def _note(self, event: str, job: object = "-") -> None:
        with self._log.open("a") as file:
            file.write(f"{event} {os.getpid()} {job}\n")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self._note("on_multirun_start")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        self._note("on_multirun_end")

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        self._note("on_job_start", config.hydra.job.num)
        self._note("task_function", f"{kwargs['task_function'].__module__}.{kwargs['task_function'].__name__}")

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        self._note("on_job_end", config.hydra.job.num)
