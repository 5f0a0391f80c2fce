"""Count what has become of a plan's tasks."""

from collections import Counter

from sweeps.points.trial_record import TrialRecord
from sweeps.search.plan import Plan
from sweeps.study.queue import Limits
from sweeps.study.trial_cache import Trials


class PlanStates:
    """The states of the tasks of a plan, as far as this process has read them."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials
        self._asked: Plan | None = None
        self._answers: dict[int, bool] = {}  # trial -> whether that plan wants it

    def of(self, plan: Plan) -> Counter[str]:
        """Count the newest trials of the plan's tasks by state."""
        return Counter(record.state for record in self._trials.newest.values() if self.wanted(plan, record))

    def failure_rate(self, plan: Plan) -> float:
        """Compute the share of the plan's tasks that have failed."""
        return self.of(plan)["FAIL"] / len(plan)

    def only_failure(self, plan: Plan, limit: int | None) -> str | None:
        """Return the one reason for which all of the plan's ended tasks have failed, before they reported a step.

        So no task has shown that it can run: a file is missing, or this machine lacks something.

        Args:
            plan: the command's plan.
            limit: smallest number of ended tasks that count; None: there is none.

        Returns:
            None if fewer tasks have ended, one has not failed or has reported a step, or the reasons differ.
        """
        if limit is None or self._has_ended_well(plan) or self.of(plan)["FAIL"] < limit:
            return None
        self._trials.refresh(with_running=True)  # a trial that runs may have reported meanwhile
        known = [record for record in self._trials.newest.values() if self.wanted(plan, record)]
        reasons = {record.reason for record in known if record.state == "FAIL"}
        if any((reason or "").startswith("timeout") for reason in reasons):  # they ran
            return None
        return reasons.pop() if len(reasons) == 1 and not any(record.steps for record in known) else None

    def has_only_crashed(self, plan: Plan, limit: int | None) -> bool:
        """Whether so many tasks have crashed, and none has ended well: then these are retried before others start."""
        if limit is None or self._has_ended_well(plan):
            return False
        return sum(r.attempt > 0 for r in self._trials.newest.values() if self.wanted(plan, r)) >= limit

    def _has_ended_well(self, plan: Plan) -> bool:
        """Whether a task of the plan is complete or pruned. Each claim asks; one of the first trials answers."""
        return any(r.state in ("COMPLETE", "PRUNED") and self.wanted(plan, r) for r in self._trials.newest.values())

    def is_given_up(self, plan: Plan, limits: Limits) -> bool:
        """Whether no more tasks are to start: too many have failed, or one has reached the target."""
        if limits.target is not None and self.has_reached(plan, limits.target):
            return True
        if self.only_failure(plan, limits.max_equal_failures) is not None:
            return True
        return limits.max_failure_rate < 1 and self.failure_rate(plan) > limits.max_failure_rate

    def has_reached(self, plan: Plan, target: float) -> bool:
        """Whether a complete trial of the plan is as good as a value."""
        sign = plan.goal.sign
        complete = (r for r in self._trials.results() if r.state == "COMPLETE" and self.wanted(plan, r))
        return any(record.value is not None and sign * record.value <= sign * target for record in complete)

    def wanted(self, plan: Plan, record: TrialRecord) -> bool:
        """Call `plan.wants` once for each trial and cache the answer: a queue may be long."""
        if self._asked is not plan:
            self._asked, self._answers = plan, {}
        if record.number not in self._answers:
            self._answers[record.number] = plan.wants(record)
        return self._answers[record.number]
