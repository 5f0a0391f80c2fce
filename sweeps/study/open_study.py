"""An open study of a sweep: its notes and its trials, as all processes of the sweep see them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import optuna
from optuna.storages import RDBStorage

from sweeps.base.optuna_internals import set_study_notes
from sweeps.points.ranking import Goal
from sweeps.points.trial_record import TrialRecord, with_axes_in_one_order
from sweeps.search.plan import Plan
from sweeps.study.moved import found_again
from sweeps.study.outage import patient
from sweeps.study.owner import this_process
from sweeps.study.plan_states import PlanStates
from sweeps.study.queue import Limits, Queue
from sweeps.study.storage import absolute_url, exclusive, open_storage
from sweeps.study.stored_study import StoredStudy, goal_of
from sweeps.study.trial_cache import Trials


class OpenStudy:
    """A study as a command has opened it: in one storage, which all leaders of the sweep share.

    Args:
        storage: the storage's URL.
        name: the study's name.
        directions: minimize or maximize, one for each objective; a string for a single objective.
        identity: the settings that all trials share, from `identity_of`; None: those of the study, which exists.
        say: shows one line to the user.
        limits: should be the same for all leaders.
        leader: the process that watches this process and closes its trial if it dies; None without a leader.

    Raises:
        SweepError: the storage cannot be used, or the study of this name belongs to another sweep or tool.
    """

    def __init__(
        self,
        storage: str,
        name: str,
        directions: str | Sequence[str],
        identity: Mapping[str, Any] | None,
        say: Callable[[str], None],
        limits: Limits = Limits(),  # noqa: B008  # frozen
        leader: Mapping[str, Any] | None = None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.url = absolute_url(storage)
        self._storage: RDBStorage = open_storage(self.url)
        self.limits = limits
        self._say = say
        self._owner = {**this_process(), "leader": leader}
        self._load(name, [directions] if isinstance(directions, str) else list(directions), identity)
        self._states = PlanStates(self._trials)

    @patient
    def _load(self, name: str, directions: Sequence[str], identity: Mapping[str, Any] | None) -> None:
        with self.locked():
            self._stored = StoredStudy(self._storage, name, directions, identity, self._say)
        self.name = self._stored.study.study_name  # Optuna's
        self.base_name = self._stored.name  # by which the user knows it; run directories lie under it
        self._queue = Queue(self._storage, self._stored, self.limits)
        self._trials = self._queue.trials
        self._seen = Trials(self._storage, self.name)  # for the caller of `changes`

    def locked(self) -> AbstractContextManager[None]:
        """Lock the storage against all other processes. Not reentrant."""
        return exclusive(self.url)

    @patient
    def attribute(self, name: str) -> Any:
        """Read a note of the study; None if there is no such note."""
        return self._stored.study.user_attrs.get(name)

    @patient
    def set_attribute(self, name: str, value: Any) -> None:
        """Store a note (a JSON value) with the study."""
        set_study_notes(self._storage, self._stored.key, {name: value})

    @patient
    def set_attributes(self, notes: Mapping[str, Any]) -> None:
        """Store several notes at once."""
        set_study_notes(self._storage, self._stored.key, notes)

    @patient
    def first_attribute(self, name: str, value: Any) -> Any:
        """Store a note unless there is one, and return the one that the study has then."""
        with self.locked():
            known = self._stored.study.user_attrs.get(name)
            if known is None:
                set_study_notes(self._storage, self._stored.key, {name: value})
            return value if known is None else known

    @property
    @patient
    def goal(self) -> Goal:
        """Read the goal: how to compare the study's points."""
        return goal_of(self._stored.study)

    @patient
    def keep_goal(self, goal: Goal) -> None:
        """Store the goal with the study: how to compare its points."""
        self._stored.keep_goal(goal)

    @patient
    def is_finished(self, plan: Plan) -> bool:
        """Whether no task of the plan waits or runs on any host, or too many tasks have failed to start more."""
        with self._fresh():
            open_ones = self._states.of(plan).keys() & {"WAITING", "RUNNING"}
            if self._states.is_given_up(plan, self.limits):
                # a trial that runs may yet show that others can, too
                return "RUNNING" not in open_ones or not self._states.only_failure(plan, self.limits.max_equal_failures)
            # a trial may have ended since this process looked for tasks
            return not open_ones and not (plan.follows_results and plan.more(self._trials.results()))

    @patient
    def n_open(self, plan: Plan) -> int:
        """Count the plan's tasks that have not started, including tasks that are not due yet."""
        with self._fresh():
            return plan.n_open(self._trials.results())

    @patient
    def records(self) -> list[TrialRecord]:
        """Read the trial of each task whose result counts, sorted by trial number: see `results_of_each_task`."""
        self._trials.refresh(with_running=True)
        counting = sorted(self._trials.results(), key=lambda record: record.number)
        return found_again(with_axes_in_one_order(counting), self.url)

    @patient
    def changes(self) -> list[TrialRecord]:
        """Read the trials that are new or have changed since the last call; a report is a change."""
        return self._seen.refresh(with_running=True)

    def failure_rate(self, plan: Plan) -> float:
        """Compute the share of the plan's tasks that have failed, as far as this process knows."""
        return self._states.failure_rate(plan)

    def only_failure(self, plan: Plan, limit: int | None) -> str | None:
        """See `PlanStates.only_failure`."""
        return self._states.only_failure(plan, limit)

    def has_reached(self, plan: Plan, target: float) -> bool:
        """Whether a trial of the plan is as good as a value, as far as this process knows."""
        return self._states.has_reached(plan, target)

    @property
    def n_superseded(self) -> int:
        """Count the trials whose task has a newer trial: they were interrupted, orphaned or retried."""
        return len(self._trials.all) - len(self._trials.newest)

    @property
    def n_foreign(self) -> int:
        """Count the trials that other tools have added: they are no part of the sweep."""
        return len(self._trials.foreign)

    @contextmanager
    def _fresh(self) -> Iterator[None]:
        """Hold the lock and read the newest trials."""
        with self.locked():
            self._trials.refresh()
            yield
