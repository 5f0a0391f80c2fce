"""Launch a job: give one claimed trial to Hydra's launcher, which runs it here, with joblib or in Slurm."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher

from sweeps.base.errors import NoJobError, SweepError
from sweeps.command.request import Request
from sweeps.job.current_trial import job_environment
from sweeps.job.job_result import JobResult, failure, result_of
from sweeps.points.search_space import job_overrides
from sweeps.points.trial_record import NOT_BEGUN, TrialRecord
from sweeps.study.claims import SweepStudy
from sweeps.workers import slurm


@dataclass
class Launch:
    """Runs the jobs of a study."""

    study: SweepStudy
    request: Request
    launcher: Launcher
    parent_run_id: str | None  # MLflow run of the study
    say: Callable[[str], None]  # shows a line
    returns: dict[int, JobReturn] = field(default_factory=dict)  # trial -> what its job has returned
    home: str = field(default_factory=os.getcwd)  # where every job starts, wherever an earlier one has gone

    @property
    def is_remote(self) -> bool:
        """Whether jobs run on other nodes: a signal to one of them is none to this process."""
        return slurm.is_slurms(self.launcher)

    def _tell(self, claim: TrialRecord, waits: str) -> None:
        """Say why a trial waits: here, and through the study to the leader of this process."""
        if waits not in ("", NOT_BEGUN):
            self.say(f"trial {claim.label}  {waits}")
        with suppress(SweepError):  # no database answers, and the job goes on
            self.study.tell_waiting(claim, waits)

    def run(self, claim: TrialRecord) -> JobResult:
        """Run the job of a claimed trial to its end.

        Raises:
            KeyboardInterrupt, SystemExit: the job was stopped.
            NoJobError: Slurm accepts no job with these settings.
        """
        variables = job_environment(self.study.name, claim.number, self.parent_run_id)
        self.request.composition.tell_next_job(self.study.base_name, variables)
        overrides = job_overrides(self.request.axes, self.request.fixed, claim.overrides)
        try:
            if self.is_remote:
                settings, tell = self.request.settings, partial(self._tell, claim)
                job = slurm.launch(self.launcher, overrides, claim.run, settings, tell)
            else:
                [job] = self.launcher.launch([overrides], initial_job_idx=claim.run)
        except NoJobError:
            raise
        except Exception as error:  # the job could not even start: this trial's failure, not the sweep's
            return failure(error, None)
        finally:
            with suppress(OSError):  # somebody has removed it
                os.chdir(self.home)
        self.returns[claim.number] = job
        names = self.request.settings.names
        kept = self.study.current(claim).attributes if len(names) > 1 else {}
        return result_of(job, names, kept, self.request.needs_number)
