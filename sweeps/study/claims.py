"""Claim a trial of a study, and tell how it ended: the queue that all processes of a sweep share.

Each trial carries in its user attributes what it is: `point` (axis -> value), `replica` (number of its seed),
`overrides` (as the user spelled them), `run` (number of its run directory), `owner` (the process that claimed it, and
its `leader`), `attempt` (how often its task has crashed before), `reason` (why it failed), `run_dir`, and `job.NAME`
for what the job itself has set.

A trial that must run again fails, and a new one waits in its place: so a result that comes too late finds its trial
closed, whoever brings it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from sweeps.points.ranking import Goal
from sweeps.points.search_space import Space, point_id
from sweeps.points.trial_record import TrialRecord
from sweeps.search.plan import Plan
from sweeps.study.owner import this_process
from sweeps.study.queue import Limits, Queue, queue_order
from sweeps.study.storage import absolute_url, exclusive, open_storage, patient
from sweeps.study.stored_study import StoredStudy, goal_of
from sweeps.study.trial_cache import Trials
from sweeps.study.warm_start import take_over

INTERRUPTED = "interrupted"


class SweepStudy:
    """The trials of one sweep, in one storage, shared by all leaders that run it.

    A claimed trial is the `TrialRecord` as it was when it was claimed.

    Args:
        storage: its URL.
        name: of the study.
        directions: minimize or maximize, one for each objective; a single one as such.
        identity: what all trials have in common, from `identity_of`.
        say: shows one line to the user.
        limits: should be the same for all leaders.
        leader: the process that watches this one, and deals with its trial if it dies; None if none does.

    Raises:
        SweepError: the storage cannot be used, or the study of that name is another one.
    """

    def __init__(
        self,
        storage: str,
        name: str,
        directions: str | Sequence[str],
        identity: Mapping[str, Any],
        say: Callable[[str], None],
        limits: Limits = Limits(),  # noqa: B008  # frozen
        leader: Mapping[str, Any] | None = None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.url = absolute_url(storage)
        self._storage: RDBStorage = open_storage(self.url)
        with self.locked():
            as_list = [directions] if isinstance(directions, str) else list(directions)
            self._stored = StoredStudy(self._storage, name, as_list, identity, say)
        self.name = self._stored.study.study_name  # Optuna's
        self.base_name = self._stored.name  # by which the user knows it; run directories lie under it
        self.limits = limits
        self._say = say
        self._owner = {**this_process(), "leader": leader}
        self._queue = Queue(self._storage, self._stored, limits)
        self._trials = self._queue.trials
        self._seen = Trials(self._storage, self.name)  # by who asks for changes
        self._in_doubt = False  # whether a claim has failed half-way
        self._asked: Plan | None = None
        self._answers: dict[int, bool] = {}  # trial -> whether that plan wants it

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all other processes out of the storage for a moment. Not reentrant."""
        with exclusive(self.url):
            yield

    def attribute(self, name: str) -> Any:
        """A note kept with the study, or None."""
        return self._stored.study.user_attrs.get(name)

    def set_attribute(self, name: str, value: Any) -> None:
        """Keep a note (a JSON value) with the study."""
        self._stored.study.set_user_attr(name, value)

    @property
    def goal(self) -> Goal:
        """How the points of the study are compared."""
        return goal_of(self._stored.study)

    def keep_goal(self, goal: Goal) -> None:
        """Keep with the study how its points are compared."""
        self._stored.keep_goal(goal)

    def enqueue(self, plan: Plan, space: Space, retry: Collection[str] = (), warm_start: Sequence[str] = ()) -> None:
        """Queue each task that the study does not have yet, and again those whose newest trial ended in some states.

        Args:
            plan: of this command.
            space: the values of its axes.
            retry: states: FAIL, and PRUNED if the command has no pruner.
            warm_start: studies; their complete trials are taken over first, as far as the plan accepts their points.

        Raises:
            SweepError: one of these studies does not exist.
        """
        with self._fresh():
            self._queue.requeue_lost()
            if self._stored.extend(space):
                self._trials.forget()
            self._trials.refresh()
            for name in warm_start:
                take_over(self._storage, name, plan, self._stored, self._queue, self._say)
            for record in list(self._trials.newest.values()):
                if record.state in retry and plan.wants(record):
                    self._queue.add_again(record, attempt=0)
            self._queue_more(plan)

    @patient
    def claim(self, plan: Plan) -> TrialRecord | None:
        """Take the next waiting trial that belongs to the plan; None if there is none now."""
        with self._fresh():
            self._queue.requeue_lost()
            if self._in_doubt:
                self._requeue_unheard()
            if self._is_given_up(plan):
                return None
            self._in_doubt = True  # if the connection breaks now, this process does not learn what it has claimed
            claim = self._take(plan) or (self._take(plan) if self._queue_more(plan) else None)
        self._in_doubt = False
        return claim

    def beat(self, claim: TrialRecord) -> None:
        """Write a heartbeat of a claimed trial for the other hosts; it is left out while no database answers."""
        with suppress(StorageInternalError):
            self._storage.record_heartbeat(claim.key)

    @patient
    def attributes_of(self, claim: TrialRecord) -> Mapping[str, Any]:
        """What the job has set on its trial."""
        with self._fresh():
            self._trials.refresh(with_running=True)
            return self._trials.all[claim.number].attributes

    @patient
    def complete(self, claim: TrialRecord, values: Sequence[float], run_dir: str | None) -> bool:
        """End a trial with finite values of its objectives; False if it was taken away meanwhile."""
        with self._if_ours(claim, run_dir) as ours:
            if ours:
                self._storage.set_trial_state_values(claim.key, TrialState.COMPLETE, values)
            return ours

    @patient
    def prune(self, claim: TrialRecord, run_dir: str | None) -> bool:
        """End a trial as pruned, and with it its point's waiting replicas; False if it was taken away meanwhile."""
        with self._if_ours(claim, run_dir) as ours:
            if ours:
                for record in list(self._trials.waiting.values()):
                    if point_id(record.point) == point_id(claim.point):
                        self._queue.skip(record, self._owner, f"its point was pruned with replica {claim.replica}")
                self._stored.study.tell(claim.number, state=TrialState.PRUNED)
            return ours

    @patient
    def fail(self, claim: TrialRecord, reason: str, run_dir: str | None, crashed: bool = True) -> bool:
        """End a trial as failed, for a reason; False if it was taken away meanwhile.

        Its task waits again if it `crashed` and has retries left. Otherwise only `enqueue` with `retry` runs it again.
        """
        with self._if_ours(claim, run_dir) as ours:
            if ours:
                self._queue.end(claim, reason, crashed)
            return ours

    def give_back(self, claim: TrialRecord) -> None:
        """Let the task of an interrupted trial wait again."""
        with self._if_ours(claim) as ours:
            if ours:
                self._queue.requeue(claim, INTERRUPTED)

    def abandon(self, pid: int, reason: str | None) -> int | None:
        """End the trial of a dead worker of this leader, and return its number; None if the worker had no trial.

        After a crash, for a `reason`, the task may be retried. After a stop (None) it waits again.
        """
        with self._fresh():
            for record in list(self._trials.running.values()):
                if record.owner["pid"] == pid and record.owner["leader"] == this_process():
                    if reason is None:
                        self._queue.requeue(record, INTERRUPTED)
                    else:
                        self._queue.end(record, reason, crashed=True)
                    return record.number
        return None

    @patient
    def is_finished(self, plan: Plan) -> bool:
        """Whether no task of the plan waits or runs, here or elsewhere, or too many have failed for more to start."""
        with self._fresh():
            states = self._states(plan)
            return not (states["WAITING"] or states["RUNNING"]) or self._is_given_up(plan)

    def n_open(self, plan: Plan) -> int:
        """How many tasks of the plan are left to be started, those included that are not due yet."""
        with self._fresh():
            return plan.n_open(list(self._trials.newest.values()))

    def records(self) -> list[TrialRecord]:
        """The newest trial of each task, by trial number."""
        self._trials.refresh(with_running=True)
        return sorted(self._trials.newest.values(), key=lambda record: record.number)

    @patient
    def changes(self) -> list[TrialRecord]:
        """The trials that are new or have changed since the last call, also by a report."""
        return self._seen.refresh(with_running=True)

    def failure_rate(self, plan: Plan) -> float:
        """The share of the plan's tasks that have failed, as far as this process knows."""
        return self._states(plan)["FAIL"] / len(plan)

    @property
    def n_superseded(self) -> int:
        """How many trials have a newer one of the same task: they were interrupted, orphaned or retried."""
        return len(self._trials.all) - len(self._trials.newest)

    @contextmanager
    def _fresh(self) -> Iterator[None]:
        """Hold the lock, with the newest trials read."""
        with self.locked():
            self._trials.refresh()
            yield

    @contextmanager
    def _if_ours(self, claim: TrialRecord, run_dir: str | None = None) -> Iterator[bool]:
        """Hold the lock, and tell whether a claimed trial still is this process's; if so, keep its directory."""
        with self._fresh():
            ours = claim.number in self._trials.running
            if ours and run_dir is not None:
                self._queue.set(claim, "run_dir", run_dir)
            yield ours

    def _take(self, plan: Plan) -> TrialRecord | None:
        waiting = [record for record in self._trials.waiting.values() if self._wants(plan, record)]
        if not waiting:
            return None
        record = min(waiting, key=queue_order)
        self._queue.start(record, self._owner)
        return record

    def _requeue_unheard(self) -> None:
        """Let a trial wait again that this process has claimed without learning of it: the connection broke."""
        for record in list(self._trials.running.values()):
            if record.owner == self._owner:
                self._queue.requeue(record, INTERRUPTED)

    def _queue_more(self, plan: Plan) -> bool:
        tasks = plan.more(list(self._trials.newest.values()))
        run = max((record.run for record in self._trials.all.values()), default=-1)
        for number, task in enumerate(tasks, start=run + 1):
            attributes = {"replica": task.replica, "overrides": list(task.overrides), "run": number}
            self._queue.add(self._stored.conforming(task.point), attributes, system_attrs=dict(task.system))
        self._trials.refresh()
        return bool(tasks)

    def _states(self, plan: Plan) -> Counter[str]:
        return Counter(record.state for record in self._trials.newest.values() if self._wants(plan, record))

    def _is_given_up(self, plan: Plan) -> bool:
        """Whether more tasks of the plan have failed than `max_failure_rate` allows."""
        return self.limits.max_failure_rate < 1 and self.failure_rate(plan) > self.limits.max_failure_rate

    def _wants(self, plan: Plan, record: TrialRecord) -> bool:
        """`plan.wants`, asked once for each trial: a queue may be long."""
        if self._asked is not plan:
            self._asked, self._answers = plan, {}
        if record.number not in self._answers:
            self._answers[record.number] = plan.wants(record)
        return self._answers[record.number]
