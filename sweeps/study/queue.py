"""The queue of a study: how a trial gets in, is started, ended and put back. To be used under the study's lock."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeps.points.search_space import Value
from sweeps.points.trial_record import JOB, trial_task_id
from sweeps.study import owner
from sweeps.study.stored_study import StudyFamily, distribution_of
from sweeps.study.trial_cache import Trials

ORPHANED = "orphaned"
KEPT = ("replica", "overrides", "run")  # attributes that a requeued trial has from its predecessor


@dataclass(frozen=True)
class Limits:
    """When a trial is given up, or taken from its owner."""

    max_retries: int = 0  # of a trial that crashes
    max_failure_rate: float = 1.0  # of a command's tasks; with more failures no trial is claimed
    grace: int = 120  # seconds without a heartbeat


class Queue:
    """The trials of the newest study of a family."""

    def __init__(self, storage: RDBStorage, family: StudyFamily, limits: Limits) -> None:
        self._storage = storage
        self._family = family
        self._limits = limits
        self._looked_for_silent = time.monotonic()
        self.trials = Trials(storage, family.study.study_name)

    def refresh(self, with_running: bool = False) -> None:
        """See `Trials.refresh`; after a succession the trials are those of the new study."""
        if self.trials.study != self._family.study.study_name:
            self.trials = Trials(self._storage, self._family.study.study_name)
        self.trials.refresh(with_running)

    def add(
        self,
        values: Mapping[str, Value],
        attributes: Mapping[str, Any],
        steps: Any = None,
        system: Mapping[str, Any] | None = None,
    ) -> None:
        """Let a point wait.

        Args:
            values: the point, conforming to the space.
            attributes: to be kept with the trial.
            steps: step -> value, of an earlier trial that this one goes on from.
            system: what a sampler has noted with it.
        """
        self._family.study.add_trial(
            create_trial(
                state=TrialState.WAITING,
                params=dict(values),
                distributions={axis: distribution_of(self._family.space[axis]) for axis in values},
                user_attrs={"point": dict(values), **attributes},
                intermediate_values=steps,
                system_attrs=dict(system or {}),
            )
        )

    def add_again(self, trial: FrozenTrial, attempt: int) -> None:
        """Let a trial's task wait once more, in the same run directory and with what it has reported."""
        known = self._storage.get_trial(trial._trial_id)  # with its newest reports
        kept = {key: value for key, value in known.user_attrs.items() if key in KEPT or key.startswith(JOB)}
        # a pruner would take what successive halving has noted for the new trial's own
        system = {key: value for key, value in known.system_attrs.items() if not key.startswith("completed_rung_")}
        self.add(known.user_attrs["point"], {**kept, "attempt": attempt}, known.intermediate_values, system)

    def start(self, trial: FrozenTrial, by: Mapping[str, Any]) -> None:
        """Give a waiting trial to its owner."""
        # the state last: a process killed in between leaves a trial that still waits
        self.set(trial.number, "owner", by)
        self.beat(trial.number)  # a trial that has never had a heartbeat cannot be seen to miss one
        self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)

    def beat(self, number: int) -> None:
        """Note by the database's clock that a trial's owner lives."""
        self._storage.record_heartbeat(self.trials.id_of(number))

    def set(self, number: int, name: str, value: Any) -> None:
        """Keep a value with a trial that has not ended."""
        self._storage.set_trial_user_attr(self.trials.id_of(number), name, value)

    def end(self, trial: FrozenTrial, reason: str, crashed: bool) -> None:
        """Close a trial that has failed; if it crashed and has retries left, its task waits again."""
        attempt = attempt_of(trial) + 1
        if crashed and attempt <= self._limits.max_retries:
            self.requeue(trial, reason, attempt)
        else:
            self._fail(trial, reason)

    def skip(self, trial: FrozenTrial, by: Mapping[str, Any], reason: str) -> None:
        """Close a waiting trial as one that the sweep gives up."""
        self.set(trial.number, "reason", reason)
        self.start(trial, by)  # Optuna copies no trial that has ended without a start
        self._storage.set_trial_state_values(trial._trial_id, TrialState.PRUNED)

    def requeue(self, trial: FrozenTrial, reason: str, attempt: int | None = None) -> None:
        """Close a trial and let its task wait again; as another attempt, or as the same one."""
        self.set(trial.number, "requeued", True)
        # the new one first: a process killed between the two leaves a trial whose owner is dead, and no second copy
        if self.trials.newest[trial_task_id(trial)].number == trial.number:
            self.add_again(trial, attempt_of(trial) if attempt is None else attempt)
        self._fail(trial, reason)

    def requeue_lost(self) -> None:
        """Let the trials wait again whose owners are dead, or on other hosts and silent."""
        for trial in list(self.trials.running.values()):
            by = trial.user_attrs["owner"]
            if owner.is_dead(by) and (by["leader"] is None or owner.is_dead(by["leader"])):
                self.requeue(trial, ORPHANED)
        if time.monotonic() - self._looked_for_silent > self._limits.grace / 10:
            self._looked_for_silent = time.monotonic()
            self._requeue_silent()

    def _requeue_silent(self) -> None:
        for trial in self.trials.silent(self._limits.grace):
            by = trial.user_attrs["owner"]
            if not owner.is_here(by):
                self.requeue(trial, f"host {by['host']} has not been heard of for {self._limits.grace} s")

    def close(self, number: int, state: TrialState, values: Sequence[float] | None = None) -> None:
        """End a running trial; without `Study.tell`, which reads it twice more."""
        self._storage.set_trial_state_values(self.trials.id_of(number), state, values)

    def _fail(self, trial: FrozenTrial, reason: str) -> None:
        self.set(trial.number, "reason", reason)
        self.close(trial.number, TrialState.FAIL)
        self.refresh()


def attempt_of(trial: FrozenTrial) -> int:
    """How often the trial's point has crashed before."""
    return int(trial.user_attrs.get("attempt", 0))


def turn(trial: FrozenTrial) -> tuple[int, int]:
    """The order of waiting trials: requeued ones keep their turn, but those that have crashed come after the others."""
    return attempt_of(trial), trial.user_attrs["run"]
