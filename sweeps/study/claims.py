"""Claim a trial of a study, and record its result: the queue that all processes of a sweep share.

A trial's user attributes: `point` (axis -> value), `replica` (number of its seed), `overrides` (as the user spelled
them), `run` (number of its run directory), `owner` (the process that claimed it, and its `leader`), `attempt` (number
of earlier crashes of its task), `requeues` (how often it has asked to run later), `reason` (of its failure), `run_dir`,
and `job.NAME` for each value of the job.

A task runs again as a new trial, and its old one is closed: so a late result finds its trial closed.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from sweeps.base.signals import held
from sweeps.points.search_space import Space, point_id
from sweeps.points.trial_record import WAITS, TrialRecord, record_of
from sweeps.search.plan import Plan
from sweeps.study.open_study import OpenStudy
from sweeps.study.outage import patient
from sweeps.study.owner import this_process
from sweeps.study.queue import Tell, queue_order
from sweeps.study.run_folders import RunFolders
from sweeps.study.storage import drawing
from sweeps.study.warm_start import take_over

INTERRUPTED = "interrupted"


class SweepStudy(OpenStudy):
    """An open study whose trials can be queued, claimed and ended.

    A claim is the `TrialRecord` of a trial at the moment when a process claimed it.
    """

    _in_doubt = False  # whether a claim of this process has failed half-way

    def look_for_runs(self, folders: RunFolders) -> None:
        """Let new trials take the run directories in which a lost study has run their points."""
        self._queue.run_folders = folders

    @patient
    def enqueue(
        self,
        plan: Plan,
        space: Space,
        retry: Collection[str] = (),
        warm_start: Sequence[str] = (),
        tell: Tell | None = None,
    ) -> None:
        """Queue each task that the study does not have yet, and again each task whose newest trial has a `retry` state.

        A repetition adds what is still missing.

        Args:
            plan: the command's plan.
            space: the values of its axes.
            retry: states: FAIL, and PRUNED if the command has no pruner.
            warm_start: studies; first, their complete trials are copied if the plan accepts their points.
            tell: see `Queue.add_new`.

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
            newest = self._trials.newest.values()
            self._queue.add_again([r for r in newest if r.state in retry and plan.wants(r) and r.origin is None])
        self._queue_more(plan, tell)

    def claim(self, plan: Plan) -> TrialRecord | None:
        """Take the plan's next waiting trial; None if none waits now. If a signal comes meanwhile, it waits again."""
        claim = None
        try:
            with held():
                return (claim := self._claim(plan))
        except (KeyboardInterrupt, SystemExit):
            if claim is not None:
                self.give_back(claim)
            raise

    @patient
    def _claim(self, plan: Plan) -> TrialRecord | None:
        claim = self._claim_waiting(plan)
        if claim is None and plan.grows and not self._states.is_given_up(plan, self.limits) and self._queue_more(plan):
            claim = self._claim_waiting(plan)  # None if another process was faster
        return claim

    def _claim_waiting(self, plan: Plan) -> TrialRecord | None:
        with self._fresh():
            self._queue.requeue_lost()
            for record in list(self._trials.running.values()) if self._in_doubt else ():
                if record.owner == self._owner:  # the connection broke when this process claimed it
                    self._queue.requeue(record, INTERRUPTED)
            if self._states.is_given_up(plan, self.limits):
                return None
            self._in_doubt = True  # if the connection breaks now, this process does not learn what it has claimed
            claim = self._take(plan)
        self._in_doubt = False
        return claim

    @patient
    def tell_waiting(self, claim: TrialRecord, why: str) -> None:
        """Store why a claimed trial does not run yet; an empty text: it runs now."""
        with self._if_ours(claim) as ours:
            if ours:
                self._queue.set(claim, WAITS, why)

    def beat(self, claim: TrialRecord) -> None:
        """Write a claimed trial's heartbeat for the other hosts; skip it while no database answers."""
        with suppress(StorageInternalError):
            self._storage.record_heartbeat(claim.key)

    @patient
    def current(self, claim: TrialRecord) -> TrialRecord:
        """Read a claimed trial again, with what its job has stored."""
        return record_of(self._storage.get_trial(claim.key))

    @patient
    def ended(self, claim: TrialRecord) -> TrialRecord:
        """Read a claimed trial after its end; what is read here, the next claim need not read."""
        self._trials.refresh()
        return self._trials.all[claim.number]

    @patient
    def complete(self, claim: TrialRecord, values: Sequence[float], run_dir: str | None) -> bool:
        """End a trial with finite values of its objectives, or with none; False if it was taken away meanwhile."""
        with self._if_ours(claim) as ours:
            if ours:
                self._queue.complete(claim, values, run_dir)
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
        """End a trial as failed, for a reason; False if another process has taken it over.

        Its task waits again if it `crashed` and has retries left. Otherwise only `enqueue` with `retry` runs it again.
        """
        with self._if_ours(claim, run_dir) as ours:
            if ours:
                self._queue.end(claim, reason, crashed)
            return ours

    @patient
    def give_back(self, claim: TrialRecord, asked: str | None = None) -> bool:
        """Let the task of an interrupted trial wait again; behind the others if the trial has `asked` for it.

        Returns:
            Whether it waits: False if the trial was taken away, or has asked too often.
        """
        with self._if_ours(claim) as ours:
            if ours and asked is None:
                self._queue.requeue(claim, INTERRUPTED)
            return ours and (asked is None or self._queue.later(claim, asked))

    @patient
    def abandon(self, pid: int, reason: str | None, later: bool = False, overdue: int | None = None) -> int | None:
        """End the trial of a dead worker of this leader, and return its number; None if the worker had no trial.

        After a crash, for a `reason`, the task may be retried; if the job asked to run `later`, the task waits behind
        the others. After a stop of the sweep (None), it waits again. If the worker was stopped because trial `overdue`
        ran too long, this trial has failed; another one, which the worker has claimed meanwhile, waits again.
        """
        with self._fresh():
            for record in list(self._trials.running.values()):
                if record.owner.get("pid") == pid and record.owner["leader"] == this_process():
                    if reason is None or overdue not in (None, record.number):
                        self._queue.requeue(record, INTERRUPTED)
                    elif overdue is not None:
                        self._queue.end(record, reason, crashed=False)
                    elif later:
                        self._queue.later(record, reason)
                    else:
                        self._queue.end(record, reason, crashed=True)
                    return record.number
        return None

    @contextmanager
    def _if_ours(self, claim: TrialRecord, run_dir: str | None = None) -> Iterator[bool]:
        """Hold the lock, and tell whether a claimed trial still is this process's; if so, keep its directory."""
        with self._fresh():
            ours = claim.number in self._trials.running
            if ours and run_dir is not None:
                self._queue.set(claim, "run_dir", run_dir)
            yield ours

    def _take(self, plan: Plan) -> TrialRecord | None:
        waiting = [record for record in self._trials.waiting.values() if self._states.wanted(plan, record)]
        if self._states.has_only_crashed(plan, self.limits.max_equal_failures):
            waiting = [record for record in waiting if record.attempt] or waiting
        record = min(waiting, key=queue_order, default=None)
        return None if record is None else self._queue.start(record, self._owner)

    def _queue_more(self, plan: Plan, tell: Tell | None = None) -> bool:
        """Queue the tasks that are due. While a sampler draws them, other processes may claim trials and end them."""
        with drawing(self.url):
            with self._fresh():
                known = self._trials.results()
            tasks = plan.more(known)
            if tasks:
                with self._fresh():
                    self._queue.add_new(tasks, tell)
            for task in (task for task in tasks if task.note is not None):
                self._say(f"{task}: {task.note}")
            return bool(tasks)
