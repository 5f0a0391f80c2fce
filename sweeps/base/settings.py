"""The settings of a sweep: what stands under `hydra.sweeper`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sweeps.base.errors import SweepError

DIRECTIONS = ("minimize", "maximize")
BOTH = " or ".join(DIRECTIONS)
AT_LEAST = {
    "stop_seconds": 0,
    "n_trials": 1,
    "replicas": 1,
    "replicas_top": 1,
    "workers": 1,
    "processes": 1,
    "threads": 1,
    "gpus": 0,
    "memory_gb": 0,
    "max_retries": 0,
    "heartbeat": 1,
    "max_step": 1,
}


@dataclass
class Settings:
    """Each field is a key under `hydra.sweeper`; null is None."""

    direction: Any = "minimize"  # minimize | maximize what a job returns; a list: one for each of several objectives
    objectives: list[str] = field(default_factory=list)  # names of several objectives; [] one, or as many as directions
    step_name: str = "step"  # what a step counts that a job reports, as the table calls it
    max_step: int | None = None  # a trial's last step, as ${kimg}: for hyperband and the cost of a dry run
    pruner: Any = None  # when a trial ends early; filled by the group hydra/sweeper/study/pruner
    sampler: Any = None  # where points come from; filled by the group hydra/sweeper/study/sampler
    n_trials: int | None = None  # points that the study is to have; a sampler needs it, a grid has its own
    where: str | None = None  # which points exist: a condition on axes and keys, as in C_it >= C_ii
    enqueue: list[Any] = field(default_factory=list)  # points to begin with: [{h: 0.5, C_it: 1}, {h: 1}]
    warm_start: list[str] = field(default_factory=list)  # studies in this storage whose complete trials are taken over
    replicas: int = 1  # seeds of each point
    replicas_top: int | None = None  # replicate only this many points, the best with one seed; null: all
    seed_key: str = "seed"  # a replica has this key's own value plus 0, 1, ...
    aggregate: str = "mean"  # what a point's replicas come to: mean | median | a quantile such as q75
    dry_run: bool = False  # say what would run and what it would cost
    dry_run_overrides: list[str] = field(
        default_factory=list
    )  # make a job short, so that a dry run can measure its speed
    storage: str = "sqlite:///sweeps.db"  # or postgresql://USER@HOST/DATABASE
    study_name: str | None = None  # null: derived from the axes and the config, as in h-3f2a91c0
    not_identity: list[str] = field(default_factory=list)  # dotted key prefixes that make no other study: cache_dir ...
    retry_failed: bool = False  # run failed points again, in their own run directories
    params: dict[str, Any] = field(default_factory=dict)  # axis -> values, as on the command line: h: 0.1,0.5,2
    workers: int | None = None  # trials at a time; null: one for each GPU, else as many as the cores have threads for
    processes: int = 1  # of a trial, each with a GPU of its own where there are any; a host's GPUs are shared out so
    threads: int | None = 1  # CPU threads of each of them; null: the cores are shared out among the workers
    gpus: int | None = None  # to be shared out, one to a worker; null: those that there are
    memory_gb: float | None = (
        None  # what each of a trial's processes needs, at most as many workers as that allows; null: not looked at
    )
    max_retries: int = 1  # how often a trial that crashes is tried again, from its checkpoint
    max_failure_rate: float = 1.0  # the sweep ends when a greater share of its points has failed; 1: never
    heartbeat: int = 20  # seconds between the signs of life that hosts sharing a study give each other
    stop_seconds: int = (
        30  # seconds that trials have to save their state when the sweep is stopped, before they are killed
    )
    grace: int = 120  # seconds without one after which a host's trials are given to others
    mlflow_tracking_uri: str | None = None  # null: no MLflow run for the study
    mlflow_experiment: str | None = None  # the run's experiment; made if missing

    def check(self) -> None:
        """Refuse what a type cannot.

        Raises:
            SweepError: quotes the value and says what is allowed.
        """
        for name in ("pruner", "sampler"):
            value = getattr(self, name)
            if not isinstance(value, Mapping | None):
                self._refuse(name, f"filled by its group: hydra/sweeper/study/{name}={value} in place of this")
        if not isinstance(self.direction, str | list) or not set(map(str, self.directions)) <= set(DIRECTIONS):
            self._refuse("direction", BOTH)
        if len(self.directions) != len(self.names):
            self._refuse("direction", f"one, or one each for the {len(self.names)} objectives {', '.join(self.names)}")
        if len(set(self.names)) < len(self.names):
            self._refuse("objectives", "a list without a name twice")
        if self.replicas_top is not None and self.replicas == 1:
            self._refuse("replicas_top", "null where hydra.sweeper.replicas=1")
        if self.replicas_top is not None and len(self.names) > 1:
            self._refuse("replicas_top", "null with several objectives, which have no best point")
        for name, least in AT_LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                self._refuse(name, f"at least {least}")
        if self.study_name is not None and (set(self.study_name) & set("/\\\0\n") or self.study_name.strip(". ") == ""):
            self._refuse("study_name", "a name without / and \\: the sweep's folder is called so")
        if not 0 <= self.max_failure_rate <= 1:
            self._refuse("max_failure_rate", "in [0, 1]")
        if self.grace < 2 * self.heartbeat:
            self._refuse("grace", f"at least 2 x hydra.sweeper.heartbeat={self.heartbeat}")

    @property
    def names(self) -> list[str]:
        """One name for each objective."""
        if self.objectives or isinstance(self.direction, str) or len(self.direction) < 2:
            return self.objectives or ["value"]
        return [f"value_{index}" for index in range(len(self.direction))]

    @property
    def directions(self) -> list[str]:
        """One direction for each objective."""
        return [self.direction] * len(self.names) if isinstance(self.direction, str) else list(self.direction)

    @property
    def has_pruner(self) -> bool:
        """Whether trials may be ended early."""
        return self.pruner is not None and self.pruner.get("_target_") is not None

    @property
    def retried(self) -> list[str]:
        """States of trials that this command runs again; without a pruner those that one has ended go on."""
        return [*(["FAIL"] if self.retry_failed else []), *([] if self.has_pruner else ["PRUNED"])]

    def _refuse(self, name: str, allowed: str) -> None:
        raise SweepError(f"hydra.sweeper.{name}={getattr(self, name)} is not allowed: it must be {allowed}")
