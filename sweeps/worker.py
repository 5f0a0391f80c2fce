"""The loop of a sweep: claim a trial, run it, tell what came out, until nothing waits."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from hydra.plugins.launcher import Launcher

from sweeps.composition import Composition
from sweeps.live import Lines
from sweeps.outcome import Outcome, outcome_of, reason_of
from sweeps.plan import Plan
from sweeps.study import Claim, SweepStudy
from sweeps.trial import STORAGE, job_environment


@dataclass
class Worker:
    """Runs trials of a study, one at a time."""

    study: SweepStudy
    plan: Plan
    fixed: Sequence[str]  # overrides that they share
    composition: Composition
    launcher: Launcher
    view: Lines
    parent_run_id: str | None  # MLflow run of the study
    n_run: int = field(default=0, init=False)
    n_failed: int = field(default=0, init=False)

    def work(self) -> None:
        """Claim, run, tell, until nothing is left.

        Raises:
            KeyboardInterrupt, SystemExit: the job was stopped; its trial waits again.
        """
        with _environment(self.study.url):
            while (claim := self.study.claim(self.plan)) is not None:
                self.view.started(claim)
                try:
                    outcome = self._run(claim)
                except (KeyboardInterrupt, SystemExit) as stop:
                    self.study.give_back(claim)
                    self.view.stopped(claim, stop)
                    raise
                self._tell(claim, outcome)
                self.view.finished(claim, outcome)

    def _run(self, claim: Claim) -> Outcome:
        self.composition.tell_next_job(
            self.study.family, job_environment(self.study.name, claim.number, self.parent_run_id)
        )
        try:
            [job] = self.launcher.launch([[*self.fixed, *claim.task.overrides]], initial_job_idx=claim.run)
        except Exception as error:  # the job could not even start: this point's failure, not the sweep's
            return Outcome(None, reason_of(error), None)
        return outcome_of(job)

    def _tell(self, claim: Claim, outcome: Outcome) -> None:
        self.n_run += 1
        if outcome.value is not None:
            self.study.complete(claim, outcome.value, outcome.run_dir)
        else:
            self.n_failed += 1
            self.study.fail(claim, str(outcome.reason), outcome.run_dir)


@contextmanager
def _environment(storage: str) -> Iterator[None]:
    """Make the storage known to the jobs of this process and its children, and to no file."""
    before = os.environ.get(STORAGE)
    os.environ[STORAGE] = storage
    try:
        yield
    finally:
        os.environ.pop(STORAGE) if before is None else os.environ.update({STORAGE: before})
