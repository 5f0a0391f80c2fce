"""The settings of a sweep: the keys under `hydra.sweeper`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sweeps.base.duration import ALLOWED, seconds_of
from sweeps.base.errors import SweepError

DIRECTIONS = ("minimize", "maximize")
BOTH = " or ".join(DIRECTIONS)
RERUN = ("FAIL", "PRUNED", "COMPLETE", "all")
MIN_SEEDS = 3  # seeds of each point before replicas=auto compares points
AT_LEAST = {
    **dict.fromkeys(("stop_seconds", "gpus", "memory_gb", "max_retries", "max_requeues"), 0),
    **dict.fromkeys(("n_trials", "replicas_top", "replicas_trials", "workers", "processes", "threads", "heartbeat"), 1),
    **dict.fromkeys(("max_batch_size", "max_equal_failures"), 1),
}


@dataclass
class Settings:
    """Each field is a key under `hydra.sweeper`; null is None."""

    direction: Any = "minimize"  # minimize | maximize the objective; a list: one for each of several objectives
    objectives: list[str] = field(default_factory=list)  # names of several objectives: [fid,sec_per_kimg]
    # []: one objective, or as many as there are directions.
    step_name: str = "step"  # unit of the steps that a job reports, for the table
    max_step: Any = None  # last step of a trial, such as ${kimg}; pruners and dry runs use it
    pruner: Any = None  # the rule that ends bad trials early; choose it by its group: pruner=median
    sampler: Any = None  # the source of the points; choose it by its group: sampler=tpe
    n_trials: int | None = None  # number of points that a sampler draws; h=interval(0.1,2) needs it, a grid does not
    where: str | None = None  # condition on axes and keys that points must meet: 'hydra.sweeper.where="C_it >= C_ii"'
    enqueue: list[Any] = field(default_factory=list)  # points to run first: [{h: 0.5, C_it: 1}, {h: 1}]
    custom_search_space: str | None = None  # function of a config and a trial, by its path: suggests further values
    warm_start: list[str] = field(default_factory=list)  # studies whose complete trials the sweep takes over
    replicas: Any = 1  # number of seeds per point | auto: seeds go on until the best point is told from the others
    replicas_top: int | None = None  # N: replicate only the N best points; null: all
    replicas_error: float = 0.05  # of replicas=auto: probability that a study calls a point better that is not
    replicas_max: int = 12  # of replicas=auto: largest number of seeds per point
    replicas_trials: int | None = None  # of replicas=auto: largest number of trials of the whole study; null: no limit
    seed_key: str = "seed"  # the key of the seed; replicas add 0, 1, ... to its value
    aggregate: str = "mean"  # value of a point with replicas: mean | median | a quantile such as q75
    point_check: str | None = None  # function of the app that makes a check of points, by its path
    dry_run: Any = False  # true: print the points and what is known of the cost | measure: run a short job for the cost
    dry_run_overrides: list[str] = field(default_factory=list)  # overrides for this job
    storage: str = "sqlite:///sweeps.db"  # database of the study; postgresql://USER@HOST/DATABASE for several hosts
    study_name: str | None = None  # null: the swept axes and a digest of all other settings, such as h-3f2a91c0
    not_identity: list[str] = field(default_factory=list)  # keys and sections that may differ in a study: cache_dir ...
    retry_failed: bool = False  # true: run failed points again, in their own run directories
    rerun: str | None = None  # run trials with this state again: FAIL | PRUNED | COMPLETE | all
    target: float | None = None  # the sweep starts no further trial when one has reached this value of the objective
    timeout: Any = None  # time for this command: 5400 (seconds), 90m, 2h; then its trials stop and wait; null: no limit
    trial_timeout: Any = None  # time for each run of a trial; a trial that takes longer has failed; null: no limit
    params: dict[str, Any] = field(
        default_factory=dict
    )  # axis -> values; also {values: [1, 2], where: CONDITION} and NAME: [{h: 1, k: 2}, {h: 3}]
    # h: 0.1,0.5,2 as on the command line; an axis that only some points have; a union of grids
    workers: int | None = None  # number of trials at a time; null: as many as GPUs, cores and memory allow
    max_batch_size: int | None = None  # at most so many trials at a time, whatever fits; null: no such limit
    detach: bool = False  # true: submit `workers` jobs that run the sweep, and end; for hydra/launcher=submitit_slurm
    workers_per_gpu: Any = None  # trials at a time on each GPU: N | auto (measured on the first ones); null: 1
    processes: int = 1  # number of processes of a trial, each with its own GPU where there are GPUs
    threads: int | None = 1  # CPU threads of each process; null: the workers share the cores
    gpus: int | None = None  # number of GPUs that the workers share; null: all
    memory_gb: float | None = None  # GB that each process of a trial needs; limits the workers; null: no limit
    max_retries: int = 1  # number of retries after a crash, from the checkpoint; not after a mistake or a divergence
    max_requeues: int = 100  # times that a trial may exit with status 75, or end by a signal, and run again later
    max_failure_rate: float = 1.0  # the sweep ends when a larger share of its trials has failed; 1: never
    max_equal_failures: int | None = 3  # the sweep ends when its first N trials fail for one reason; null: never
    heartbeat: int = 20  # seconds between two heartbeats of each host of a study
    stop_seconds: int = 30  # seconds that stopped trials have to save their state, before they are killed
    grace: int = 120  # seconds without a heartbeat after which a host loses its trials to the others
    mlflow_tracking_uri: str | None = None  # MLflow's address for the run of the whole study; null: no such run
    mlflow_experiment: str | None = None  # experiment that holds this run; created if missing
    about: dict[str, Any] = field(default_factory=dict)  # what all trials share, for titles: key -> text
    # A title leaves out a key that is an axis.
    best_command: str | None = None  # command that uses the best trial's checkpoint; {checkpoint} is its path

    def check(self) -> None:
        """Check the values, beyond their types.

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
        self._check_replicas()
        if self.replicas_top is not None and self.replicas == 1:
            self._refuse("replicas_top", "null where hydra.sweeper.replicas=1")
        if self.replicas_top is not None and len(self.names) > 1:
            self._refuse("replicas_top", "null with several objectives, which have no best point")
        for name, least in AT_LEAST.items():
            if (value := getattr(self, name)) is not None and value < least:
                self._refuse(name, f"at least {least}")
        if self.study_name is not None and not is_study_name(self.study_name):
            self._refuse("study_name", "a name without / and \\: the sweep's folder is called so")
        if not 0 <= self.max_failure_rate <= 1:
            self._refuse("max_failure_rate", "between 0 and 1")
        if self.grace < 2 * self.heartbeat:
            self._refuse("grace", f"at least 2 x hydra.sweeper.heartbeat={self.heartbeat}")
        self._check_choices()
        self._check_max_step()
        self._check_workers_per_gpu()

    def _check_replicas(self) -> None:
        count = self.replicas
        if count != "auto" and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
            self._refuse("replicas", "auto, or at least 1")
        if not 0 < self.replicas_error < 1:
            self._refuse("replicas_error", "above 0 and below 1")
        if self.replicas_max < MIN_SEEDS:
            self._refuse("replicas_max", f"at least {MIN_SEEDS}")
        if count == "auto":
            if self.replicas_top is not None:
                self._refuse("replicas_top", "null where hydra.sweeper.replicas=auto, which chooses the points itself")
            if self.aggregate != "mean":
                self._refuse("aggregate", "mean where hydra.sweeper.replicas=auto, which compares means")
            if len(self.names) > 1:
                self._refuse("replicas", "a number with several objectives, which have no best point")

    def _check_max_step(self) -> None:
        if not isinstance(self.max_step, int | None):
            raise SweepError(
                f"trials of {self.max_step} {self.step_name} are not allowed: a whole number of {self.step_name} is"
                " needed (hydra.sweeper.max_step), because trials report their progress in whole units"
            )
        if self.max_step is not None and self.max_step < 1:
            self._refuse("max_step", "at least 1")

    def _check_choices(self) -> None:
        if self.dry_run not in (True, False, "measure"):
            self._refuse("dry_run", "true, false or measure")
        if self.rerun not in (None, *RERUN):
            self._refuse("rerun", f"one of {', '.join(RERUN)}")
        if self.target is not None and len(self.names) > 1:
            self._refuse("target", "null with several objectives")
        for name in ("timeout", "trial_timeout"):
            if getattr(self, name) is not None and seconds_of(getattr(self, name)) is None:
                self._refuse(name, f"a number of {ALLOWED}")

    def _check_workers_per_gpu(self) -> None:
        value = self.workers_per_gpu
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if not (is_count or value in (None, "auto")):
            self._refuse("workers_per_gpu", "auto, or a whole number from 1")

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
    def max_replicas(self) -> int:
        """The largest number of seeds of a point."""
        return self.replicas_max if self.replicas == "auto" else int(self.replicas)

    @property
    def has_pruner(self) -> bool:
        """Whether a pruner may end trials early."""
        return self.pruner is not None and self.pruner.get("_target_") is not None

    @property
    def needs_number(self) -> bool:
        """Whether a trial without an objective has failed: pruners, replicas and several objectives compare numbers."""
        return self.has_pruner or self.max_replicas > 1 or len(self.names) > 1

    @property
    def retried(self) -> list[str]:
        """The states of trials that this command runs again; without a pruner, pruned trials continue."""
        asked = list(RERUN[:-1]) if self.rerun == "all" else [self.rerun] if self.rerun is not None else []
        return [*asked, *(["FAIL"] if self.retry_failed else []), *([] if self.has_pruner else ["PRUNED"])]

    def _refuse(self, name: str, allowed: str) -> None:
        value = getattr(self, name)
        if value is None or isinstance(value, bool | list):  # as the command line has it: null, true, [a,b]
            value = json.dumps(value, separators=(",", ":")).replace('"', "")
        raise SweepError(f"hydra.sweeper.{name}={value} is not allowed: it must be {allowed}")


def dotted_keys() -> list[str]:
    """The key of each setting, as the command line gives it."""
    return [f"hydra.sweeper.{each.name}" for each in fields(Settings)]


def is_study_name(name: str) -> bool:
    """Whether a study may have this name: its folder has it too."""
    return not set(name) & set("/\\\0\n") and name.strip(". ") != ""
