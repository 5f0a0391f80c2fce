"""The settings of a sweep: what stands under `hydra.sweeper`."""

from dataclasses import dataclass, field
from typing import Any

from sweeps.errors import SweepError

DIRECTIONS = ("minimize", "maximize")


@dataclass
class Settings:
    """Each field is a key under `hydra.sweeper`; null is None."""

    direction: str = "minimize"  # minimize | maximize what a job returns
    step_name: str = "step"  # what a step counts that a job reports, as the table calls it
    storage: str = "sqlite:///sweeps.db"  # or postgresql://USER@HOST/DATABASE
    study_name: str | None = None  # null: derived from the axes and the config, as in h-3f2a91c0
    not_identity: list[str] = field(default_factory=list)  # dotted key prefixes that make no other study: cache_dir ...
    retry_failed: bool = False  # run failed points again, in their own run directories
    params: dict[str, Any] = field(default_factory=dict)  # axis -> values, as on the command line: h: 0.1,0.5,2
    mlflow_tracking_uri: str | None = None  # null: no MLflow run for the study
    mlflow_experiment: str | None = None  # the run's experiment; made if missing

    def check(self) -> None:
        """Refuse what a type cannot.

        Raises:
            SweepError: quotes the value and says what is allowed.
        """
        if self.direction not in DIRECTIONS:
            allowed = " or ".join(DIRECTIONS)
            raise SweepError(f"hydra.sweeper.direction={self.direction} is not allowed: it must be {allowed}")
