"""Makes the sweeper known to Hydra as `hydra/sweeper: study`.

Hydra instantiates only classes that are defined under `hydra_plugins`, hence the empty subclass.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore

from sweeps import sweeper


class StudySweeper(sweeper.StudySweeper):
    """See `sweeps.sweeper.StudySweeper`."""


@dataclass
class StudySweeperConf:
    """Settings of a sweep, under `hydra.sweeper`."""

    _target_: str = "hydra_plugins.clipgan_sweeper.StudySweeper"
    direction: str = "minimize"  # minimize | maximize what a job returns
    step_name: str = "step"  # what a step counts that a job reports, as the table calls it
    storage: str = "sqlite:///sweeps.db"  # or postgresql://USER@HOST/DATABASE
    study_name: str | None = None  # null: derived from the axes and the config, as in h-3f2a91c0
    not_identity: list[str] = field(default_factory=list)  # dotted key prefixes that make no other study: cache_dir ...
    retry_failed: bool = False  # run failed points again, in their own run directories
    params: dict[str, Any] = field(default_factory=dict)  # axis -> values, as on the command line: h: 0.1,0.5,2
    mlflow_tracking_uri: str | None = None  # null: no MLflow run for the study
    mlflow_experiment: str | None = None  # the run's experiment; made if missing


ConfigStore.instance().store(group="hydra/sweeper", name="study", node=StudySweeperConf, provider="clipgan_sweeper")
