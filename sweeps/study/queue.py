"""The queue of a study: add, start, end and requeue trials. The caller holds the study's lock."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeps.base.optuna_internals import ARTIFACT, add_trials, complete_trial, key_of, read_trials, start_trial
from sweeps.base.signals import heed_now
from sweeps.points.trial_record import JOB, NAMES, OWN, TrialRecord
from sweeps.study import owner
from sweeps.study.run_folders import RunFolders
from sweeps.study.stored_study import StoredStudy
from sweeps.study.trial_cache import Trials

ORPHANED = "orphaned"
TAKEN = "another tool had taken it"
KEPT = ("replica", "overrides", "run", NAMES)  # attributes that a requeued trial copies from its predecessor
NOT_KEPT = ("completed_rung_", ARTIFACT)  # notes of Optuna's: a pruner would take a rung for the new trial's own
BATCH = 500  # trials that are added in one transaction: a fraction of a second

Tell = Callable[[int, int], object]  # shows how many trials of how many have been added


@dataclass(frozen=True)
class Limits:
    """Limits after which a trial is given up, or taken from its owner."""

    max_retries: int = 0  # retries of a trial that crashes
    max_requeues: int = 100  # times that a task may ask to run again later
    max_failure_rate: float = 1.0  # share of a command's tasks; if more have failed, no process claims a trial
    max_equal_failures: int | None = None  # see `PlanStates.only_failure`
    grace: int = 120  # seconds without a heartbeat
    target: float | None = None  # value of the first objective; when a trial has reached it, no process claims one


class Queue:
    """The trials of a study, and the changes of their states."""

    def __init__(self, storage: RDBStorage, study: StoredStudy, limits: Limits) -> None:
        self._storage = storage
        self._study = study
        self._limits = limits
        self._looked_for_silent = time.monotonic()
        self.trials = Trials(storage, study.study.study_name)
        self.run_folders: RunFolders | None = None  # None: nobody looks for the directories of an earlier study

    def add_new(self, tasks: Sequence[TrialRecord], tell: Tell | None = None) -> None:
        """Add a waiting trial for each task, with its run directory.

        Args:
            tasks: have no trial yet.
            tell: is called after each batch. A signal ends the queueing between two batches.

        Raises:
            SweepError: see `StoredStudy.conforming`.
        """
        taken = {record.label for record in self.trials.all.values()}
        first = max(taken, default=-1) + 1
        runs = self.run_folders.numbers(tasks, taken) if self.run_folders else range(first, first + len(tasks))
        points = self._study.conforming([task.point for task in tasks])
        distributions = self._study.distributions()
        new = [
            create_trial(
                state=TrialState.WAITING,
                params=point,
                distributions={name: distributions.get(name) or task.distributions[name] for name in point},
                user_attrs={OWN: point, "replica": task.replica, "overrides": list(task.overrides), "run": run},
                system_attrs=dict(task.system),
            )
            for run, task, point in zip(runs, tasks, points, strict=True)
        ]
        self.add(new, tell)

    def add(self, new: Sequence[FrozenTrial], tell: Tell | None = None) -> None:
        """Add trials that are all waiting, or all complete: a batch in a transaction."""
        for begin in range(0, len(new), BATCH):
            add_trials(self._storage, self.trials.study, new[begin : begin + BATCH])
            if tell is not None:
                tell(min(begin + BATCH, len(new)), len(new))
            heed_now()
        self.trials.refresh()

    def add_again(self, records: Sequence[TrialRecord], attempt: int = 0, requeues: int = 0) -> None:
        """Add a waiting trial for the task of each record, with its run directory and its newest reports."""
        keys = {record.key for record in records}
        known = read_trials(self._storage, self.trials.study, keys, last=max(keys, default=0))
        self.add([_again(trial, attempt, requeues) for trial in known if key_of(trial) in keys])

    def start(self, record: TrialRecord, by: Mapping[str, Any]) -> TrialRecord | None:
        """Give a waiting trial to its owner, and return its record; None if another tool has taken it meanwhile."""
        if not start_trial(self._storage, record.key, ("owner", by)):
            return None
        record = replace(record, state=TrialState.RUNNING.name, owner=by, started=datetime.now())
        self.trials.keep(record)
        return record

    def set(self, record: TrialRecord, name: str, value: Any) -> None:
        """Store a value with a trial that has not ended."""
        self._storage.set_trial_user_attr(record.key, name, value)

    def complete(self, record: TrialRecord, values: Sequence[float], run_dir: str | None) -> None:
        """End a running trial with its values."""
        complete_trial(self._storage, record.key, values, {} if run_dir is None else {"run_dir": run_dir})

    def end(self, record: TrialRecord, reason: str, crashed: bool) -> None:
        """Close a trial that has failed; if it crashed and has retries left, its task waits again."""
        if crashed and record.attempt < self._limits.max_retries:
            self.requeue(record, reason, record.attempt + 1)
        else:
            self._fail(record, reason)

    def skip(self, record: TrialRecord, by: Mapping[str, Any], reason: str) -> None:
        """Close a waiting trial as pruned, without running it."""
        self.set(record, "reason", reason)
        if self.start(record, by) is not None:  # Optuna copies no trial that has ended without a start
            self._storage.set_trial_state_values(record.key, TrialState.PRUNED)

    def later(self, record: TrialRecord, reason: str) -> bool:
        """Queue the task of a trial again that asked for it, behind the other tasks.

        Returns:
            Whether it waits: after `max_requeues` times the trial has failed.
        """
        if record.requeues < self._limits.max_requeues:
            self.requeue(record, reason, requeues=record.requeues + 1)
            return True
        limit = f"hydra.sweeper.max_requeues={self._limits.max_requeues}"
        self._fail(record, f"{reason} {record.requeues + 1} times, which is more than {limit}")
        return False

    def requeue(
        self, record: TrialRecord, reason: str, attempt: int | None = None, requeues: int | None = None
    ) -> None:
        """Close a trial and queue its task again; its counts stay unless they are given."""
        self.set(record, "requeued", True)
        # add the new trial first: if the process is killed in between, the old one has a dead owner, and no second copy
        if self.trials.newest[record.task].number == record.number:
            counts = record.attempt if attempt is None else attempt, record.requeues if requeues is None else requeues
            self.add_again([record], *counts)
        self._fail(record, reason)

    def requeue_lost(self) -> None:
        """Requeue each trial whose owner is dead, or is on another host and silent, or is no process of a sweep."""
        for record in list(self.trials.running.values()):
            by = record.owner
            if not by:  # Optuna's `ask` gives another tool the next waiting trial
                with suppress(UpdateFinishedTrialError):  # that tool, which asks for no lock, has just ended it
                    self.requeue(record, TAKEN)
            elif owner.is_dead(by) and (by["leader"] is None or owner.is_dead(by["leader"])):
                self.requeue(record, ORPHANED)
        if time.monotonic() - self._looked_for_silent > self._limits.grace / 10:
            self._looked_for_silent = time.monotonic()
            for record in self.trials.silent(self._limits.grace):
                if not owner.is_here(record.owner):
                    host = record.owner["host"]
                    self.requeue(record, f"host {host} has sent no heartbeat for {self._limits.grace} s")

    def _fail(self, record: TrialRecord, reason: str) -> None:
        self.set(record, "reason", reason)
        self._storage.set_trial_state_values(record.key, TrialState.FAIL)
        self.trials.refresh()


def _again(known: FrozenTrial, attempt: int, requeues: int) -> FrozenTrial:
    """Make the trial that repeats or continues an earlier one."""
    kept = {name: value for name, value in known.user_attrs.items() if name in KEPT or name.startswith(JOB)}
    system = {name: value for name, value in known.system_attrs.items() if not name.startswith(NOT_KEPT)}
    return create_trial(
        state=TrialState.WAITING,
        params=known.params,
        distributions=known.distributions,
        user_attrs={OWN: known.params, **kept, "attempt": attempt, "requeues": requeues},
        intermediate_values=known.intermediate_values,
        system_attrs=system,
    )


def queue_order(record: TrialRecord) -> tuple[int, int]:
    """Sort key of waiting trials: an interrupted one keeps its turn; a crashed or preempted one comes after others."""
    return record.attempt + record.requeues, record.run
