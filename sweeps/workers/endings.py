"""Say why a sweep starts no further trial, if this is not because all of its points have run."""

from collections.abc import Iterator, Sequence

from sweeps.base.settings import Settings
from sweeps.points.trial_record import TrialRecord
from sweeps.search.plan import Plan
from sweeps.study.claims import SweepStudy


def reasons_to_end(study: SweepStudy, plan: Plan, settings: Settings, records: Sequence[TrialRecord]) -> Iterator[str]:
    """Yield one line for each reason.

    Args:
        study: its trials are read.
        plan, settings: of the command.
        records: of each task of the study, from `SweepStudy.records`.
    """
    rate, limit = study.failure_rate(plan), settings.max_failure_rate
    if rate > limit:
        yield (
            f"given up: {rate:.0%} of the trials have failed, which is more than"
            f" hydra.sweeper.max_failure_rate={limit}; go on with a greater one, or with"
            " hydra.sweeper.retry_failed=true"
        )
    reason = study.only_failure(plan, settings.max_equal_failures)
    if reason is not None and (n_open := study.n_open(plan)):
        n_failed = sum(record.latest.state == "FAIL" for record in records if plan.wants(record))
        yield (
            f"given up: the first {n_failed} trials have failed for one reason ({n_open} wait): {reason}\n"
            "after a mend, repeat the command with hydra.sweeper.retry_failed=true; to run the others all the same,"
            " with hydra.sweeper.max_equal_failures=null"
        )
    if settings.target is not None and study.has_reached(plan, settings.target):
        yield f"hydra.sweeper.target={settings.target} is reached: no further trial starts"
    if (reason := plan.why_no_further_seed(records)) is not None:
        yield f"no further seed: {reason}"
