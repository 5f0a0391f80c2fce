"""How long a run is, and how far it has come, in units of its task: kimg, epochs."""

import math
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Schedule:
    """The length of a run, and where its snapshots lie."""

    unit: str  # kimg | epoch
    length: int  # units
    snapshot_every: int  # units from one snapshot to the next
    units_per_step: Fraction

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return math.ceil(self.length / self.units_per_step)

    def units_done(self, step: int) -> int:
        """Whole units after so many steps; the last step is the end, whatever a unit's length."""
        return self.length if step == self.total_steps else math.floor(step * self.units_per_step)
