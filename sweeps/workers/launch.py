"""Launch a job: give one claimed trial to Hydra's launcher, which runs it here, with joblib or in Slurm."""

from dataclasses import dataclass

from hydra.plugins.launcher import Launcher

from sweeps.command.request import Request
from sweeps.job.current_trial import job_environment
from sweeps.job.job_result import JobResult, failure, result_of
from sweeps.points.trial_record import TrialRecord
from sweeps.study.claims import SweepStudy


@dataclass
class Launch:
    """Runs the jobs of a study."""

    study: SweepStudy
    request: Request
    launcher: Launcher
    parent_run_id: str | None  # MLflow run of the study

    def run(self, claim: TrialRecord) -> JobResult:
        """Run the job of a claimed trial to its end.

        Raises:
            KeyboardInterrupt, SystemExit: the job was stopped.
        """
        variables = job_environment(self.study.name, claim.number, self.parent_run_id)
        self.request.composition.tell_next_job(self.study.base_name, variables)
        try:
            [job] = self.launcher.launch([[*self.request.fixed, *claim.overrides]], initial_job_idx=claim.run)
        except Exception as error:  # the job could not even start: this trial's failure, not the sweep's
            return failure(error, None)
        names = self.request.settings.names
        return result_of(job, names, self.study.attributes_of(claim) if len(names) > 1 else {})
