"""A trial that a process has taken from a study's queue."""

from dataclasses import dataclass

from sweeps.points.trial_record import TrialRecord
from sweeps.search.plan import Task


@dataclass(frozen=True)
class Claim:
    """A trial that this process runs now."""

    record: TrialRecord

    @property
    def number(self) -> int:
        """Optuna's trial number."""
        return self.record.number

    @property
    def task(self) -> Task:
        """What it runs."""
        return Task.of(self.record)

    @property
    def run(self) -> int:
        """Number of its run directory; a requeued trial has its predecessor's."""
        return self.record.run
