"""What a task is to the training engine: its state, one step, one measurement, and what it says of itself."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from torch import Tensor

from clipgan.tracking.log import Log
from clipgan.tracking.run_description import Origin


class Task(ABC):
    """What a task fills in; `Run` does the rest."""

    key: str  # name of the metric that is the objective
    maximised: bool  # whether a higher objective is better
    best_counts: bool  # whether the run's result is the best objective, not the last
    state: Any  # what training changes: step (batches done), watch (a Watch), state_dict(), load_state_dict()
    sources: dict[str, Any]  # identity of data and encoders; the configuration has only their names

    @abstractmethod
    def step(self, step: int) -> dict[str, Tensor]:
        """One optimisation step (0, 1, ...) and its values to log."""

    @abstractmethod
    def measure(self, units: int, last: bool) -> dict[str, float]:
        """Measure a snapshot, and draw its pictures.

        Args:
            units: units done.
            last: whether the run ends here.

        Returns:
            Metrics by name, `key` among them, the same in all processes.
        """

    @abstractmethod
    def params(self) -> dict[str, Any]:
        """Parameters for the tracker besides the configuration."""

    @abstractmethod
    def first_values(self) -> dict[str, float]:
        """Metrics of the data, for the record before the first step."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """What a checkpoint says besides the state, as plain data."""

    @abstractmethod
    def announce(self) -> None:
        """Say what is about to run."""

    def artifacts(self, units: int) -> list[Path]:
        """A snapshot's files in the run directory, for the tracker."""
        return []

    @abstractmethod
    def finish(self, log: Log) -> None:
        """Record the result of a run that has reached its end."""

    @abstractmethod
    def further(self, origin: Origin) -> list[tuple[str, str]]:
        """Commands that a user may want next, and what each of them does."""
