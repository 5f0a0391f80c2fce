"""The interface of a task for the training engine: its state, a step, a measurement, and its descriptions."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from clipgan.tracking.log import Log
from clipgan.tracking.run_description import Origin


class Task(ABC):
    """The methods that a task implements; `Run` does the rest."""

    key: str  # name of the metric that is the objective
    names: Mapping[str, str] = MappingProxyType({})  # short name of a metric that a sweep may take -> its name
    maximised: bool  # whether a higher objective is better
    best_counts: bool  # whether the run's result is its best objective, not its last
    state: Any  # the state of training: step (batches done), watch (a Watch), state_dict(), load_state_dict()
    sources: dict[str, Any]  # fingerprints of data and encoders; the configuration has only their names

    @abstractmethod
    def step(self, step: int) -> dict[str, Tensor]:
        """Do an optimisation step (0, 1, ...) and return its values to log."""

    @abstractmethod
    def measure(self, units: int, last: bool) -> dict[str, float]:
        """Measure a snapshot and draw its pictures.

        Args:
            units: units done.
            last: whether the run ends here.

        Returns:
            Metrics by name, `key` among them, the same in all processes.
        """

    @abstractmethod
    def params(self) -> dict[str, Any]:
        """Return parameters for the tracker besides the configuration."""

    @abstractmethod
    def first_values(self) -> dict[str, float]:
        """Return metrics of the data, for the record before the first step."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """Return plain data for a checkpoint, besides the state."""

    @abstractmethod
    def announce(self) -> None:
        """Print a description of the run before it starts."""

    def named(self, values: dict[str, float]) -> dict[str, float]:
        """Give the values of a step the names that a person reads in the log."""
        return values

    def pictures(self, units: int) -> list[Path]:
        """List the PNGs in the run directory that a snapshot has drawn, for the tracker."""
        return []

    @abstractmethod
    def finish(self, log: Log) -> None:
        """Record the result of a run that has reached its end."""

    @abstractmethod
    def further(self, origin: Origin) -> list[tuple[str, str]]:
        """List commands that a user may want next, each with its purpose."""
