"""What a run logs; the log that keeps nothing."""

from collections.abc import Callable, Mapping
from pathlib import Path


class Log:
    """A log of one run that keeps nothing. The first of several processes has a `RunLog` in its place."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record values at a step.

        Args:
            step: whole units done (kimg, epochs).
            values: metrics by name.
        """

    def lines(self) -> list[str]:
        """Return all lines of the record, for the checkpoints, which the first process writes."""
        return []

    def artifact(self, path: Path) -> None:
        """Record a file in the run directory."""

    def picture(self, path: Path, step: int) -> None:
        """Record a PNG in the run directory that a snapshot has drawn.

        Args:
            path: the file; its name begins with what it shows, as in `samples-000002.png`.
            step: whole units done.
        """

    def model(self, write: Callable[[Path], None], step: int) -> None:
        """Record the trained network as an MLflow model.

        Args:
            write: makes an MLflow model in the given folder, which is deleted after MLflow has the model.
            step: whole units done.
        """

    def finish(self, status: str, pruned: bool = False) -> None:
        """Close the run.

        Args:
            status: MLflow's FINISHED, FAILED or KILLED.
            pruned: whether a sweep has ended the run early; the tag `pruned` says so.
        """
