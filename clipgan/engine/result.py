"""What a run returns, and how it reports on its way."""

from collections.abc import Callable
from dataclasses import dataclass

Report = Callable[[float, int], bool]  # (objective, mark) -> whether the run is to end there


@dataclass(frozen=True)
class Result:
    """What a run comes to."""

    objective: float  # its last figure, or its best where the task says so
    unit: str  # kimg | epoch
    sec_per_unit: float  # of the training alone, without snapshots
    stopped: bool  # whether `report` ended it before its last step
    objective_sd: float | None  # what another draw of what is measured may change in the objective; None: unknown
