"""A worker of a sweep: it claims a trial, runs its job and records the result, until nothing is left."""

import signal
import time
from dataclasses import dataclass, field, replace
from datetime import datetime

from hydra.core.utils import env_override

from sweeps.base.environment import STORAGE
from sweeps.base.errors import NoJobError
from sweeps.base.repeating import repeating
from sweeps.base.signals import Stop
from sweeps.display.progress import View
from sweeps.job.job_result import JobResult, failure
from sweeps.job.task_function import REFUSED, REQUEUE
from sweeps.points.trial_record import TrialRecord
from sweeps.workers.launch import Launch

POLL = 0.5  # seconds between two checks, while others run trials that may be requeued

TOO_LATE = JobResult("FAIL", reason="its result came too late: the trial had been given to another host")


@dataclass
class Worker:
    """Runs trials of a study, one at a time."""

    launch: Launch
    view: View
    stop: Stop = field(default_factory=Stop)
    leaves: bool = False  # whether it ends when no trial is left to start, though others run: its node costs money
    led: bool = False  # whether a leader takes the trial back when this process has been stopped

    def __post_init__(self) -> None:
        self.study, self.request = self.launch.study, self.launch.request

    def work(self) -> None:
        """Run trials until none waits, and none that runs elsewhere could be requeued.

        Raises:
            KeyboardInterrupt, SystemExit: a signal stopped the job; its trial waits again.
        """
        with env_override({STORAGE: self.study.url}):  # so that no file has its password
            while True:
                self.stop.check()
                claim = self.study.claim(self.request.plan)
                if claim is not None:
                    self._run_and_tell(claim)
                elif self.study.is_finished(self.request.plan) or (self.leaves and self._all_have_started()):
                    return
                else:
                    time.sleep(POLL)

    def _all_have_started(self) -> bool:
        plan = self.request.plan
        return not plan.follows_results and self.study.n_open(plan) == 0

    def _run_and_tell(self, claim: TrialRecord) -> None:
        self.view.show([claim])
        try:
            self.stop.check()
            with repeating(lambda _: self.study.beat(claim), self.request.settings.heartbeat):
                result = self.launch.run(claim)
            if result.state == "FAIL":
                self.stop.check()  # the signal may have caused this failure
        except NoJobError as error:  # no job can run; this trial is not to blame
            self.study.give_back(claim)
            if not self.led:
                raise
            print(error, flush=True)  # the last line of its log, which the leader reads
            raise SystemExit(REFUSED) from None
        except (KeyboardInterrupt, SystemExit) as stop:
            if isinstance(stop, KeyboardInterrupt) and self.stop.signal is None:  # the job itself raised it
                self._tell(claim, failure(stop, None))
                return
            if not self.led:
                self.study.give_back(claim)
            by = type(stop).__name__ if self.stop.signal is None else signal.Signals(self.stop.signal).name
            self._show_end(claim, JobResult("FAIL", reason=f"stopped by {by}"), waits_again=True)
            raise
        self._tell(claim, result)

    def _tell(self, claim: TrialRecord, result: JobResult) -> None:
        if result.preempted:
            remote = self.launch.is_remote
            waits = (self.led and not remote) or self.study.give_back(claim, asked=str(result.reason))
            self._show_end(claim, result, waits_again=waits)
            if waits and not remote:
                raise SystemExit(REQUEUE)
            return
        if result.state == "COMPLETE":
            told = self.study.complete(claim, result.values, result.run_dir)
        elif result.state == "PRUNED":
            told = self.study.prune(claim, result.run_dir)
        else:
            told = self.study.fail(claim, str(result.reason), result.run_dir, result.crashed)
        again = result.crashed and claim.attempt < self.study.limits.max_retries
        self._show_end(claim, result if told else TOO_LATE, waits_again=told and again)

    def _show_end(self, claim: TrialRecord, result: JobResult, waits_again: bool) -> None:
        names = claim.names
        if result.values and not self.led:  # a leader's view reads the study itself
            names = self.study.ended(claim).names
        value = result.values[0] if result.values else None
        end = replace(claim, state=result.state, value=value, values=result.values, reason=result.reason, names=names)
        self.view.show([replace(end, requeued=waits_again, ended=datetime.now())])
