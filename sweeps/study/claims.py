"""A study as a queue of points: claim one, run it, tell what came out.

Each trial carries in its user attributes what it is: `point` (axis -> value), `replica` (number of its seed),
`overrides` (as the user spelled them), `run` (number of its run directory), `owner` (the process that claimed it, and
its `leader`), `attempt` (how often its task has crashed before), `reason` (why it failed), `run_dir`, and `job.NAME`
for what the job itself has set.

A trial that must run again fails, and a new one waits in its place: so a result that comes too late finds its trial
closed, whoever brings it.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from sweeps.points.search_space import Space, point_id
from sweeps.points.trial_record import TrialRecord
from sweeps.search.plan import Plan
from sweeps.study.claim import Claim
from sweeps.study.owner import this_process
from sweeps.study.queue import Limits, Queue, turn
from sweeps.study.storage import absolute_url, exclusive, open_storage, patient
from sweeps.study.stored_study import StudyFamily
from sweeps.study.trial_cache import Trials
from sweeps.study.warm_start import take_over

INTERRUPTED = "interrupted"


class SweepStudy:
    """The trials of one sweep, in one storage, shared by all leaders that run it.

    Args:
        storage: its URL.
        name: the family name of the study; a study that had to be succeeded goes on under `name.2`, `name.3`, ...
        directions: minimize or maximize, one for each objective; a single one as such.
        identity: what all trials have in common, from `identity_of`.
        say: shows one line to the user.
        limits: the same for all leaders, if they are wise.
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
            self._family = StudyFamily(self._storage, name, as_list, identity, say)
        self.limits = limits
        self._say = say
        self._owner = {**this_process(), "leader": leader}
        self._queue = Queue(self._storage, self._family, limits)
        self._seen = Trials(self._storage, self.name)  # by who asks for changes
        self._in_doubt = False  # whether a claim has failed half-way
        self._asked: Plan | None = None
        self._answers: dict[int, bool] = {}  # trial -> whether that plan wants it

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

    def name_objectives(self, names: Sequence[str]) -> None:
        """Give several objectives names, for whatever reads the study."""
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            self._family.study.set_metric_names(list(names))

    def enqueue(self, plan: Plan, space: Space, retry: Collection[str] = (), warm_start: Sequence[str] = ()) -> None:
        """Queue each task that the study does not have yet, and again those that ended in one of some states.

        Args:
            plan: of this command.
            space: the values of its axes.
            retry: FAIL, and PRUNED where no pruner decides any more.
            warm_start: studies whose complete trials are taken over first, where the plan accepts their points.

        Raises:
            SweepError: a new choice on an axis of names while another leader runs a trial of this study, or a study to
                start from is not there.
        """
        with self._fresh():
            self._queue.requeue_lost()
            self._family.extend(space)
            self._queue.refresh()
            for name in warm_start:
                take_over(self._storage, name, plan, self._family, self._queue, self._say)
            for record in list(self._queue.trials.newest.values()) if retry else ():
                if record.state in retry and plan.wants(record):
                    self._queue.add_again(self._queue.trials.all[record.number], attempt=0)
            self._queue_more(plan)

    @patient
    def claim(self, plan: Plan) -> Claim | None:
        """Take the next waiting trial that the plan wants, or None where there is none now."""
        with self._fresh():
            self._queue.requeue_lost()
            if self._in_doubt:
                self._requeue_unheard()
            if self._is_given_up(plan):
                return None
            self._in_doubt = True  # should the connection break, nobody knows what was claimed
            claim = self._take(plan) or (self._take(plan) if self._queue_more(plan) else None)
        self._in_doubt = False
        return claim

    def beat(self, claim: Claim) -> None:
        """Show the other hosts that a claimed trial's process lives; a beat is missed where no database answers."""
        with suppress(StorageInternalError):
            self._queue.beat(claim.number)

    @patient
    def attributes_of(self, claim: Claim) -> Mapping[str, Any]:
        """What the job has set on its trial."""
        with self._fresh():
            self._queue.refresh(with_running=True)
            return self._queue.trials.records[claim.number].attributes

    @patient
    def complete(self, claim: Claim, values: Sequence[float], run_dir: str | None) -> bool:
        """Tell the objectives' values, finite numbers; False if the trial was taken away meanwhile."""
        with self._if_ours(claim) as ours:
            if ours:
                self._queue.set(claim.number, "run_dir", run_dir)
                self._queue.close(claim.number, TrialState.COMPLETE, values)
            return ours

    @patient
    def prune(self, claim: Claim, run_dir: str | None) -> bool:
        """Tell that a trial was ended early; replicas of its point that wait are not run either."""
        with self._if_ours(claim) as ours:
            if ours:
                self._queue.set(claim.number, "run_dir", run_dir)
                for trial in list(self._queue.trials.waiting.values()):
                    if point_id(trial.user_attrs["point"]) == point_id(claim.record.point):
                        self._queue.skip(
                            trial, self._owner, f"its point was pruned with replica {claim.record.replica}"
                        )
                self._family.study.tell(claim.number, state=TrialState.PRUNED)
            return ours

    @patient
    def fail(self, claim: Claim, reason: str, run_dir: str | None, crashed: bool = True) -> bool:
        """Tell that a trial has failed, and why; False if it was taken away meanwhile.

        Its task waits again if it `crashed` and has retries left; otherwise it is not run again unasked.
        """
        with self._if_ours(claim) as ours:
            if ours:
                self._queue.set(claim.number, "run_dir", run_dir)
                self._queue.end(self._queue.trials.all[claim.number], reason, crashed)
            return ours

    def give_back(self, claim: Claim) -> None:
        """Let the task of an interrupted trial wait again."""
        with self._if_ours(claim) as ours:
            if ours:
                self._queue.requeue(self._queue.trials.all[claim.number], INTERRUPTED)

    def abandon(self, pid: int, reason: str | None) -> int | None:
        """End the trial of a dead worker that this process has watched; its number, or None where it had none.

        A `reason` tells of a crash, which may be retried; None: it was stopped, and its task waits again.
        """
        with self._fresh():
            for trial in list(self._queue.trials.running.values()):
                by = trial.user_attrs["owner"]
                if by["pid"] == pid and by["leader"] == this_process():
                    if reason is None:
                        self._queue.requeue(trial, INTERRUPTED)
                    else:
                        self._queue.end(trial, reason, crashed=True)
                    return trial.number
        return None

    @patient
    def is_finished(self, plan: Plan) -> bool:
        """Whether none of the plan's tasks waits or runs, here or elsewhere, or so many have failed that none may."""
        with self._fresh():
            states = self._states(plan)
            return not (states["WAITING"] or states["RUNNING"]) or self._is_given_up(plan)

    def n_open(self, plan: Plan) -> int:
        """How many of the plan's tasks neither run nor have ended, due or not."""
        with self._fresh():
            return plan.n_open(list(self._queue.trials.newest.values()))

    def records(self) -> list[TrialRecord]:
        """The newest trial of each task, by trial number."""
        self._family.follow_successors()
        self._queue.refresh(with_running=True)
        return sorted(self._queue.trials.newest.values(), key=lambda record: record.number)

    @patient
    def changes(self) -> list[TrialRecord]:
        """The trials that are new or different since this was last asked, reports included."""
        if self._seen.study != self.name:
            self._seen = Trials(self._storage, self.name)
        return self._seen.refresh(with_running=True)

    def failure_rate(self, plan: Plan) -> float:
        """The share of the plan's tasks that have failed, as far as this process knows."""
        return self._states(plan)["FAIL"] / len(plan)

    @property
    def n_superseded(self) -> int:
        """How many trials were interrupted, orphaned or retried, and so have a newer one of the same task."""
        return len(self._queue.trials.all) - len(self._queue.trials.newest)

    @contextmanager
    def _fresh(self) -> Iterator[None]:
        """The lock, and the newest trials of the newest study."""
        with self.locked():
            self._family.follow_successors()
            self._queue.refresh()
            yield

    @contextmanager
    def _if_ours(self, claim: Claim) -> Iterator[bool]:
        """The lock, and whether a claimed trial still is this process's."""
        with self._fresh():
            yield claim.number in self._queue.trials.running

    def _take(self, plan: Plan) -> Claim | None:
        trials = self._queue.trials
        waiting = [trial for number, trial in trials.waiting.items() if self._wants(plan, trials.records[number])]
        if not waiting:
            return None
        trial = min(waiting, key=turn)
        self._queue.start(trial, self._owner)
        return Claim(trials.records[trial.number])

    def _requeue_unheard(self) -> None:
        """Let a trial wait again that was given to this process, which did not hear of it and runs nothing."""
        for trial in list(self._queue.trials.running.values()):
            if trial.user_attrs["owner"] == self._owner:
                self._queue.requeue(trial, INTERRUPTED)

    def _queue_more(self, plan: Plan) -> bool:
        tasks = plan.more(list(self._queue.trials.newest.values()))
        run = max((trial.user_attrs["run"] for trial in self._queue.trials.all.values()), default=-1)
        for number, task in enumerate(tasks, start=run + 1):
            attributes = {"replica": task.replica, "overrides": list(task.overrides), "run": number}
            noted = task.point.system if task.replica == 0 else {}
            self._queue.add(self._family.conforming(task.point.values), attributes, system=noted)
        self._queue.refresh()
        return bool(tasks)

    def _states(self, plan: Plan) -> Counter[str]:
        return Counter(record.state for record in self._queue.trials.newest.values() if self._wants(plan, record))

    def _is_given_up(self, plan: Plan) -> bool:
        """Whether more of the plan's tasks have failed than may."""
        return self.limits.max_failure_rate < 1 and self.failure_rate(plan) > self.limits.max_failure_rate

    def _wants(self, plan: Plan, record: TrialRecord) -> bool:
        """What the plan says of a trial, asked once: a queue may be long."""
        if self._asked is not plan:
            self._asked, self._answers = plan, {}
        if record.number not in self._answers:
            self._answers[record.number] = plan.wants(record)
        return self._answers[record.number]
