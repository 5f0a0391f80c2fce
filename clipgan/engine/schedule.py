"""How long a run is, and what it comes to, in units of its task: kimg, epochs."""

import math
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Schedule:
    """The length of a run. A mark is a whole number of units."""

    unit: str  # kimg | epoch
    length: int  # units
    every: int  # units from one snapshot to the next
    each: Fraction  # units a step

    @property
    def total(self) -> int:
        """Steps."""
        return math.ceil(self.length / self.each)

    def mark(self, step: int) -> int:
        """Whole units after so many steps; the last step is the end, whatever a unit's length."""
        return self.length if step == self.total else math.floor(step * self.each)
