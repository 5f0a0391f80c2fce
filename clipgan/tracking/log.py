"""The interface of a run's log, and a log that does nothing."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path


class Log(ABC):
    """The record of one run."""

    @abstractmethod
    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record values at a step.

        Args:
            step: whole units done (kimg, epochs).
            values: metrics by name.
        """

    @abstractmethod
    def lines(self) -> list[str]:
        """Return all lines of the record, for the checkpoints."""

    @abstractmethod
    def artifact(self, path: Path) -> None:
        """Record a file in the run directory."""

    @abstractmethod
    def picture(self, path: Path, step: int) -> None:
        """Record a PNG in the run directory that a snapshot has drawn.

        Args:
            path: the file; its name begins with what it shows, as in `samples-000002.png`.
            step: whole units done.
        """

    @abstractmethod
    def model(self, write: Callable[[Path], None], step: int) -> None:
        """Record the trained network as an MLflow model.

        Args:
            write: makes an MLflow model in the given folder, which is deleted after MLflow has the model.
            step: whole units done.
        """

    @abstractmethod
    def finish(self, status: str, pruned: bool = False) -> None:
        """Close the run.

        Args:
            status: MLflow's FINISHED, FAILED or KILLED.
            pruned: whether a sweep has ended the run early; the tag `pruned` says so.
        """


class SilentLog(Log):
    """Records nothing: only the first of several processes keeps the record."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Do nothing."""

    def lines(self) -> list[str]:
        """Return nothing: another process writes the checkpoints."""
        return []

    def artifact(self, path: Path) -> None:
        """Do nothing."""

    def picture(self, path: Path, step: int) -> None:
        """Do nothing."""

    def model(self, write: Callable[[Path], None], step: int) -> None:
        """Do nothing."""

    def finish(self, status: str, pruned: bool = False) -> None:
        """Do nothing."""
