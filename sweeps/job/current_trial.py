"""Give a job access to its trial: `current_trial()` finds the trial, and `report` sends values to it."""

import operator
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from sweeps.base.environment import PARENT_RUN, STORAGE, STUDY, TRIAL

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.trial import TrialState

T = TypeVar("T")


@dataclass(frozen=True)
class RunningTrial:
    """Represents the trial that this process runs."""

    storage: str  # URL of the study's database
    study: str  # Optuna's study name
    optuna_number: int  # changes when the trial waits again; see `number`
    parent_run_id: str | None  # MLflow run of the study, if it has one

    @property
    def number(self) -> int:
        """The trial's number as tables, messages and its run directory have it, also after it has waited again."""
        from sweeps.points.trial_record import record_of

        return self._in_storage(lambda storage, key: record_of(storage.get_trial(key)).label)

    def report(self, value: float, step: int) -> bool:
        """Report the objective so far, and ask whether this trial should end here.

        Args:
            value: the objective so far; NaN is stored as NaN.
            step: a whole number that all trials share, such as kimg; a second report at a step replaces the first.

        Returns:
            True if the sweep's pruner ends the trial: the job then saves its state and calls `end_as_pruned`.

        Raises:
            TypeError: `step` is no whole number (Optuna would truncate 0.5 to 0).
        """
        number, whole = float(value), operator.index(step)

        def tell(storage: "RDBStorage", key: int) -> bool:
            storage.set_trial_intermediate_value(key, whole, number)
            settings, max_step = _pruner_settings()
            if settings is None:
                return False
            from sweeps.job.pruning import is_to_end

            return is_to_end(storage, self.study, self.optuna_number, whole, settings, max_step)

        return self._in_storage(tell)

    def end_as_pruned(self) -> NoReturn:
        """End the job after `report` has returned True; the files of the job stay."""
        from optuna import TrialPruned

        raise TrialPruned

    def set(self, name: str, value: Any) -> None:
        """Store a JSON value with the trial, such as `sec_per_kimg`; it becomes a column of the sweep's table."""
        from sweeps.points.trial_record import JOB

        self._in_storage(lambda storage, key: storage.set_trial_user_attr(key, f"{JOB}{name}", value))

    def name_metrics(self, returned: str, others: Mapping[str, str]) -> None:
        """Tell the metrics' own names, under which tables and reports show them.

        Args:
            returned: of the value that the job reports and returns, such as `fid2k_clip_tiny`.
            others: of the values that the job stores with `set`, by the names that they have there.
        """
        from sweeps.points.metric_names import RETURNED
        from sweeps.points.trial_record import NAMES

        self._in_storage(lambda storage, key: storage.set_trial_user_attr(key, NAMES, {**others, RETURNED: returned}))

    def tell_sources(self, settings: str, digests: Mapping[str, str | None]) -> None:
        """Tell which files the values depend on: trials that had other files do not compare, and the sweep says so.

        Args:
            settings: a digest of the settings that choose the files; trials with an equal one should have equal files.
            digests: name -> digest of a file's content; None: not known.
        """
        from sweeps.points.trial_record import SOURCES, Sources

        told = Sources(settings, {name: digest for name, digest in digests.items() if digest is not None}).as_note()
        self._in_storage(lambda storage, key: storage.set_trial_user_attr(key, SOURCES, told))

    def overrides(self) -> tuple[str, ...]:
        """The overrides for the trial's point and seed; other trials of the sweep have other ones."""
        found = self._in_storage(lambda storage, key: storage.get_trial(key).user_attrs["overrides"])
        return tuple(found)

    def state(self) -> "TrialState":
        """The trial's state in the study: RUNNING, unless another process has taken the trial over."""
        return self._in_storage(lambda storage, key: storage.get_trial(key).state, wait=False)

    def is_silent(self, grace: int) -> bool:
        """Whether the sweep has sent no heartbeat for this trial for so many seconds, by the database's clock."""
        from sweeps.base.optuna_internals import silent_trials

        def ask(storage: "RDBStorage", key: int) -> bool:
            study = storage.get_study_id_from_name(self.study)
            return key in silent_trials(storage, study, grace)

        return self._in_storage(ask, wait=False)

    def _in_storage(self, action: "Callable[[RDBStorage, int], T]", wait: bool = True) -> T:
        """Call `action` with the trial's storage and its key there; with `wait`, wait while no database answers."""
        from sweeps.base.signals import held
        from sweeps.study.outage import patient, telling_deletion
        from sweeps.study.storage import open_storage

        def act() -> T:
            storage = open_storage(self.storage)
            study = storage.get_study_id_from_name(self.study)
            return action(storage, storage.get_trial_id_from_study_id_trial_number(study, self.optuna_number))

        if wait:
            return patient(act)()
        with held(), telling_deletion():
            return act()


def current_trial() -> RunningTrial | None:
    """Return the trial that this process runs, or None outside a sweep."""
    if TRIAL not in os.environ or STORAGE not in os.environ:
        return None
    return RunningTrial(
        storage=os.environ[STORAGE],
        study=os.environ[STUDY],
        optuna_number=int(os.environ[TRIAL]),
        parent_run_id=os.environ.get(PARENT_RUN),
    )


def _pruner_settings() -> tuple[Mapping[str, Any] | None, int | None]:
    """Read this job's `hydra.sweeper.pruner` (or None) and `hydra.sweeper.max_step`."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    if not HydraConfig.initialized():
        return None, None
    sweeper = HydraConfig.get().sweeper
    node = sweeper.get("pruner")
    settings: Any = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else None
    return (settings if settings and settings.get("_target_") else None), sweeper.get("max_step")


def job_environment(study: str, number: int, parent_run_id: str | None) -> Mapping[str, str]:
    """Return the environment variables that name a job's trial; the storage URL is passed separately."""
    variables = {STUDY: study, TRIAL: str(number)}
    return variables if parent_run_id is None else {**variables, PARENT_RUN: parent_run_id}
