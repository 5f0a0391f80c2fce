"""A study as a queue of tasks: claim one, run it, tell what came out.

Each trial carries in its user attributes what it is: `point` (axis -> value), `replica` (number of its seed),
`overrides` (as the user spelled them), `run` (number of its run directory), `owner` (the process that claimed it),
`reason` (why it failed), `run_dir`, and `job.NAME` for what the job itself has set.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeps import owner
from sweeps.family import StudyFamily, distribution_of
from sweeps.plan import Plan, Task
from sweeps.records import JOB, TrialRecord, record_of, trial_task_id
from sweeps.search_space import Point, Space, Value, conform
from sweeps.storage import absolute_url, exclusive, open_storage

ORPHANED, INTERRUPTED = "orphaned", "interrupted"
KEPT = ("replica", "overrides", "run")  # attributes of a trial that its successor has too


@dataclass(frozen=True)
class Claim:
    """A trial that this process runs now."""

    number: int  # Optuna's trial number
    task: Task
    run: int  # number of the run directory; a requeued trial has its predecessor's


class SweepStudy:
    """The trials of one sweep, in one storage, shared by all leaders that run it.

    Args:
        storage: its URL.
        name: the family name of the study; a study that had to be succeeded goes on under `name.2`, `name.3`, ...
        direction: minimize or maximize.
        identity: what all trials have in common, from `identity_of`.
        say: shows one line to the user.

    Raises:
        SweepError: the storage cannot be used, or the study of that name is another one.
    """

    def __init__(
        self, storage: str, name: str, direction: str, identity: Mapping[str, Any], say: Callable[[str], None]
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.url = absolute_url(storage)
        self._storage: RDBStorage = open_storage(self.url)
        with self.locked():
            self._family = StudyFamily(self._storage, name, direction, identity, say)

    @property
    def name(self) -> str:
        """Optuna's name of the study."""
        return self._family.study.study_name

    @property
    def family(self) -> str:
        """The name that stays when the study is succeeded; run directories lie under it."""
        return self._family.name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude all other leaders of this storage; for a moment, and not reentrant."""
        with exclusive(self.url):
            yield

    def attribute(self, name: str) -> Any:
        """A note kept with the study, or None."""
        return self._family.study.user_attrs.get(name)

    def set_attribute(self, name: str, value: Any) -> None:
        """Keep a note (a JSON value) with the study."""
        self._family.study.set_user_attr(name, value)

    def enqueue(self, plan: Plan, space: Space, retry_failed: bool) -> None:
        """Queue each task that the study does not have yet, and where asked those that have failed.

        Raises:
            SweepError: a new choice on an axis of names while another leader runs a trial of this study.
        """
        with self.locked():
            self._family.follow_successors()
            self._requeue_orphans()
            self._family.extend(space)
            for trial in self._newest().values() if retry_failed else ():
                if trial.state == TrialState.FAIL and plan.wants(record_of(trial)):
                    self._queue_again(trial)
            self._queue_more(plan)

    def claim(self, plan: Plan) -> Claim | None:
        """Take the next waiting trial that the plan wants, or None where there is none now."""
        with self.locked():
            self._family.follow_successors()
            self._requeue_orphans()
            return self._take(plan) or (self._take(plan) if self._queue_more(plan) else None)

    def complete(self, claim: Claim, value: float, run_dir: str | None) -> None:
        """Tell the objective's value, a finite number."""
        self._set(claim.number, "run_dir", run_dir)
        self._family.study.tell(claim.number, value, state=TrialState.COMPLETE)

    def fail(self, claim: Claim, reason: str, run_dir: str | None) -> None:
        """Tell that a trial has failed, and why; its point is not run again unasked."""
        self._set(claim.number, "run_dir", run_dir)
        self._set(claim.number, "reason", reason)
        self._family.study.tell(claim.number, state=TrialState.FAIL)

    def give_back(self, claim: Claim) -> None:
        """Let the point of an interrupted trial wait again."""
        with self.locked():
            self._requeue(self._family.study.get_trials(deepcopy=False)[claim.number], INTERRUPTED)

    def records(self) -> list[TrialRecord]:
        """The newest trial of each task, by trial number."""
        return [record_of(trial) for trial in sorted(self._newest().values(), key=lambda trial: trial.number)]

    @property
    def n_superseded(self) -> int:
        """How many trials were interrupted, orphaned or retried, and so have a newer one of the same task."""
        return len(self._family.trials()) - len(self._newest())

    def _newest(self) -> dict[str, FrozenTrial]:
        """Task -> its newest trial."""
        return {trial_task_id(trial): trial for trial in self._family.trials()}

    def _take(self, plan: Plan) -> Claim | None:
        waiting = self._family.trials(TrialState.WAITING)
        for trial in sorted(waiting, key=lambda trial: trial.user_attrs["run"]):  # requeued ones keep their turn
            record = record_of(trial)
            if plan.wants(record):
                # the owner first: a process killed between the two leaves a trial that still waits
                self._set(trial.number, "owner", owner.this_process())
                self._set_state(trial.number, TrialState.RUNNING)
                overrides = tuple(trial.user_attrs["overrides"])
                point = Point(record.point, overrides[: len(record.point)])
                return Claim(trial.number, Task(point, record.replica, overrides), trial.user_attrs["run"])
        return None

    def _queue_more(self, plan: Plan) -> bool:
        tasks = plan.more(self.records())
        run = max((trial.user_attrs["run"] for trial in self._family.trials()), default=-1)
        for number, task in enumerate(tasks, start=run + 1):
            attributes = {"replica": task.replica, "overrides": list(task.overrides), "run": number}
            self._queue(conform(task.point.values, self._family.space), attributes)
        return bool(tasks)

    def _requeue_orphans(self) -> None:
        for trial in self._family.trials(TrialState.RUNNING):
            if owner.is_dead(trial.user_attrs["owner"]):
                self._requeue(trial, ORPHANED)

    def _requeue(self, trial: FrozenTrial, reason: str) -> None:
        # the new one first: a process killed between the two leaves a trial whose owner is dead, and no second copy
        if self._newest()[trial_task_id(trial)].number == trial.number:
            self._queue_again(trial)
        self._set(trial.number, "reason", reason)
        self._set_state(trial.number, TrialState.FAIL)

    def _queue_again(self, trial: FrozenTrial) -> None:
        """Queue a trial's task once more, in the same run directory and with what it has reported."""
        attributes = trial.user_attrs
        kept = {key: attributes[key] for key in attributes if key in KEPT or key.startswith(JOB)}
        self._queue(attributes["point"], kept, trial.intermediate_values)

    def _queue(self, values: Mapping[str, Value], attributes: Mapping[str, Any], steps: Any = None) -> None:
        self._family.study.add_trial(
            create_trial(
                state=TrialState.WAITING,
                params=dict(values),
                distributions={axis: distribution_of(self._family.space[axis]) for axis in values},
                user_attrs={"point": dict(values), **attributes},
                intermediate_values=steps,
            )
        )

    def _set(self, number: int, name: str, value: Any) -> None:
        self._storage.set_trial_user_attr(trial_id(self._storage, self.name, number), name, value)

    def _set_state(self, number: int, state: TrialState) -> None:
        self._storage.set_trial_state_values(trial_id(self._storage, self.name, number), state)


def trial_id(storage: RDBStorage, study: str, number: int) -> int:
    """Optuna's key of a trial in its storage."""
    return storage.get_trial_id_from_study_id_trial_number(storage.get_study_id_from_name(study), number)
