"""A worker of a sweep: it claims a trial, runs its job and records the result, until nothing is left."""

import time
from dataclasses import dataclass, field, replace
from datetime import datetime

from hydra.core.utils import env_override
from hydra.plugins.launcher import Launcher

from sweeps.base.environment import STORAGE
from sweeps.base.repeating import repeating
from sweeps.base.signals import Stop
from sweeps.command.request import Request
from sweeps.display.progress import View
from sweeps.job.current_trial import job_environment
from sweeps.job.job_result import JobResult, failure, result_of
from sweeps.job.task_function import REQUEUE
from sweeps.points.trial_record import TrialRecord
from sweeps.study.claims import SweepStudy

POLL = 0.5  # seconds between two looks, while others run trials that may wait again

TOO_LATE = JobResult("FAIL", reason="its result came too late: the trial had been given to another host")


@dataclass
class Worker:
    """Runs trials of a study, one at a time."""

    study: SweepStudy
    request: Request
    launcher: Launcher  # Hydra's: it runs a job here, with joblib or in Slurm
    parent_run_id: str | None  # MLflow run of the study
    view: View
    stop: Stop = field(default_factory=Stop)

    def work(self) -> None:
        """Run trials until none waits, and none runs elsewhere that could wait again.

        Raises:
            KeyboardInterrupt, SystemExit: the job was stopped; its trial waits again.
        """
        with env_override({STORAGE: self.study.url}):  # so that no file has its password
            while True:
                self.stop.check()
                claim = self.study.claim(self.request.plan)
                if claim is not None:
                    self._run_and_tell(claim)
                elif self.study.is_finished(self.request.plan):
                    return
                else:
                    time.sleep(POLL)

    def _run_and_tell(self, claim: TrialRecord) -> None:
        record = replace(claim, state="RUNNING", started=datetime.now())
        self.view.show([record])
        try:
            self.stop.check()
            with repeating(lambda _: self.study.beat(claim), self.request.settings.heartbeat):
                result = self._launch(claim)
            if result.state == "FAIL":
                self.stop.check()  # what failed may be what the signal has interrupted
        except (KeyboardInterrupt, SystemExit) as stop:
            if isinstance(stop, KeyboardInterrupt) and self.stop.signal is None:  # the job's own
                self._tell(claim, record, failure(stop, None))
                return
            self.study.give_back(claim)
            self._show_end(record, JobResult("FAIL", reason=f"stopped by {type(stop).__name__}"), waits_again=True)
            raise
        self._tell(claim, record, result)

    def _launch(self, claim: TrialRecord) -> JobResult:
        """Run the job of a claimed trial to its end."""
        variables = job_environment(self.study.name, claim.number, self.parent_run_id)
        self.request.composition.tell_next_job(self.study.base_name, variables)
        try:
            [job] = self.launcher.launch([[*self.request.fixed, *claim.overrides]], initial_job_idx=claim.run)
        except Exception as error:  # the job could not even start: this trial's failure, not the sweep's
            return failure(error, None)
        names = self.request.settings.names
        return result_of(job, names, self.study.attributes_of(claim) if len(names) > 1 else {})

    def _tell(self, claim: TrialRecord, record: TrialRecord, result: JobResult) -> None:
        if result.preempted:
            self.study.give_back(claim)
            self._show_end(record, result, waits_again=True)
            raise SystemExit(REQUEUE)
        if result.state == "COMPLETE":
            told = self.study.complete(claim, result.values, result.run_dir)
        elif result.state == "PRUNED":
            told = self.study.prune(claim, result.run_dir)
        else:
            told = self.study.fail(claim, str(result.reason), result.run_dir, result.crashed)
        again = result.crashed and claim.attempt < self.study.limits.max_retries
        self._show_end(record, result if told else TOO_LATE, waits_again=told and again)

    def _show_end(self, record: TrialRecord, result: JobResult, waits_again: bool) -> None:
        value = result.values[0] if result.values else None
        end = replace(record, state=result.state, value=value, values=result.values, reason=result.reason)
        self.view.show([replace(end, requeued=waits_again, ended=datetime.now())])
