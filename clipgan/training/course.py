"""How long a run is, and what it comes to, in units of its task: kimg, epochs."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

Report = Callable[[float, int], bool]  # (objective, mark) -> whether the run is to end there


@dataclass(frozen=True)
class Result:
    """What a run comes to."""

    objective: float  # its last figure, or its best where the task says so
    unit: str  # kimg | epoch
    sec_per_unit: float  # of the training alone, without snapshots
    stopped: bool  # whether `report` ended it before its last step
    objective_sd: float | None  # what another draw of what is measured may change in the objective; None: unknown


@dataclass(frozen=True)
class Course:
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
