"""What a run returns, and how it reports on its way."""

from collections.abc import Callable
from dataclasses import dataclass

Report = Callable[[float, int], bool]  # (objective, units done) -> whether the run must end there


@dataclass(frozen=True)
class Result:
    """The result of a run."""

    objective: float  # the last snapshot's, or the best where the task says so
    unit: str  # kimg | epoch
    sec_per_unit: float  # seconds of training, without snapshots
    stopped: bool  # whether `report` ended the run before its last step
    objective_sd: float | None  # how much the objective varies when its images are drawn anew; None: unknown
