"""Compute a run's length and progress in units of its task: kimg, epochs."""

import math
from dataclasses import dataclass
from fractions import Fraction

from clipgan.base.text import counted


@dataclass(frozen=True)
class Schedule:
    """The length of a run, and the interval of its snapshots."""

    unit: str  # kimg | epoch
    length: int  # units
    snapshot_every: int  # units between two snapshots
    units_per_step: Fraction

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return math.ceil(self.length / self.units_per_step)

    @property
    def plural(self) -> str:
        """The name of several units."""
        return "epochs" if self.unit == "epoch" else self.unit

    def counted(self, units: int) -> str:
        """Write a number of units: `4 kimg`, `1 epoch`, `2 epochs`."""
        return counted(units, self.unit, self.plural)

    def units_done(self, step: int) -> int:
        """Compute the whole units after `step` steps; the last step always completes the run."""
        return self.length if step == self.total_steps else math.floor(step * self.units_per_step)

    def why_beyond(self, step: int) -> str | None:
        """Say why a run that is at this step has been trained further than this length; None if it has not."""
        if step <= self.total_steps:
            return None
        key, least = self.plural, math.floor((step - 1) * self.units_per_step) + 1
        return f"{key}={self.length} ends at step {self.total_steps}, and it is at step {step}; give {key}={least}"
