"""The result of a run, and the type of its report function."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

# (objective, units done) -> whether the run must end there; None: no. It goes on at 0 units, before its first step
Report = Callable[[float, int], bool | None]


@dataclass(frozen=True)
class Result:
    """The result of a run."""

    objective: float  # of the last snapshot, or the best one if the task says so
    unit: str  # kimg | epoch
    sec_per_unit: float  # seconds of training, without snapshots
    stopped: bool  # whether `report` ended the run before its last step
    objective_sd: float | None  # the objective's standard deviation over newly drawn images; None: unknown
    run_dir: Path
    checkpoint: Path  # the last one
    figures: dict[str, float] = field(default_factory=dict)  # the last snapshot's other metrics: fid, accuracy ...
