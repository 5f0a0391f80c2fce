"""Run a sweep: open its study, run its plan in this process or in several, and print the results."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import TaskFunction
from rich.console import Console

from clipgan.base.secrets import without_passwords
from clipgan.base.text import counted
from sweeps.base.environment import STUDY
from sweeps.base.errors import FAILED, SweepError
from sweeps.base.signals import Stop
from sweeps.command.command_line import ATTRIBUTE
from sweeps.command.next_steps import Step, next_steps, report_command
from sweeps.command.request import Request
from sweeps.display.mlflow_study import ParentRun, close_parent, open_parent, or_warn
from sweeps.display.progress import EventLines, LiveTable, View
from sweeps.display.results_file import write_results
from sweeps.display.summary import print_summary
from sweeps.job.task_function import REQUEUE
from sweeps.points.ranking import Ranking
from sweeps.points.search_space import space_of
from sweeps.points.trial_record import TrialRecord
from sweeps.study.claims import SweepStudy
from sweeps.study.queue import Limits
from sweeps.study.storage import absolute_url, is_emptied, open_storage
from sweeps.study.warm_start import complete_trials
from sweeps.workers.detached import check_detach, is_detached, jobs_begun, submit, tell_submitted
from sweeps.workers.dry_run import DryRun
from sweeps.workers.endings import reasons_to_end
from sweeps.workers.gpu_sharing import GpuSharing, sharing_of
from sweeps.workers.launch import Launch
from sweeps.workers.leader import Leader, Orders
from sweeps.workers.left_processes import ending_children
from sweeps.workers.machine import environment, fitting_workers
from sweeps.workers.queue_points import queue_points
from sweeps.workers.returns import job_returns
from sweeps.workers.time_limits import TimeLimits
from sweeps.workers.worker import Worker

ENDED = ("COMPLETE", "PRUNED", "FAIL")
WORKERS = "workers"  # folder inside the sweep's folder
FOLDER = "sweep_dir"  # note of the study
Records = Sequence[TrialRecord]
Returns = Mapping[int, JobReturn]  # trial -> what its job has returned


@dataclass
class SweepRun:
    """Runs a sweep's command, as the sweep's first process or as one of its workers."""

    request: Request
    task_function: TaskFunction
    make_launcher: Callable[[], Launcher]  # called after the study is named: a launcher's folder may lie in the study's
    orders: Orders | None  # the leader's orders if this process is a worker
    console: Console
    stop: Stop

    def __post_init__(self) -> None:
        self.settings, self.plan = self.request.settings, self.request.plan
        self.limits = TimeLimits(self.settings)

    def work(self) -> list[Sequence[JobReturn]]:
        """Run the remaining points, print the study, and return the results of the jobs that have ended.

        Raises:
            SweepError, SystemExit: see `StudySweeper.sweep`.
            KeyboardInterrupt: the user stopped the sweep.
        """
        if self.orders is None and is_emptied(absolute_url(self.settings.storage)):
            self.say(
                f"hydra.sweeper.storage={without_passwords(self.settings.storage)} is an empty file: it has no study"
            )
        if self.orders is None and not is_detached() and (names := self.request.as_axes):
            axes = f"the ax{'es' if len(names) > 1 else 'is'} {', '.join(names)}"
            self.say(f"study {self.request.study_name} has these settings with {axes}: the command goes on with it")
        if self.settings.dry_run:
            DryRun(self.request, self.make_launcher, self.say).tell()
            return []
        submits = self.settings.detach and not is_detached()
        if submits:
            check_detach(self.settings, self.request.composition.config)
        study = self._open_study()
        self._choose_folder(study)
        if self.orders is not None:
            self._worker(study, self.orders.parent_run_id).work()
            return []
        if not is_detached():
            queue_points(study, self.request, self.task_function, self.console, self.say)
        before = {record.latest.key for record in study.records() if record.state in ENDED}
        if submits and study.n_open(self.plan):
            self._submit(study)
            self._open_parent(study)
            return []
        parent = self._open_parent(study)
        ended = (True, {}) if submits else self._run_trials(study, parent)
        if parent is not None and or_warn(parent.is_there, self.say) is False:  # somebody has deleted it meanwhile
            parent = self._open_parent(study)
        records = study.records()
        latest = [record.latest for record in records if record.latest.state in ENDED]
        new = [record for record in latest if record.key not in before]
        self._print_results(study, parent, records, len(new))
        return self._end(study, parent, records, new, ended)

    def say(self, line: str) -> None:
        """Print one line; a sweep survives an output that it cannot write: a full disk, a terminal that has gone."""
        with suppress(OSError):
            self.console.print(line)

    def _submit(self, study: SweepStudy) -> None:
        """Submit the jobs of a detached sweep, and say how to watch and stop them."""
        n_open = study.n_open(self.plan)
        n_jobs = min(self.settings.workers or n_open, n_open, self.settings.max_batch_size or n_open)
        job, logs = submit(self.make_launcher(), self.request.composition.config, n_jobs, study)
        tell_submitted(self.console, self.settings, study, job, n_jobs, logs)

    def _choose_folder(self, study: SweepStudy) -> None:
        """Make the sweep's folder. If `hydra.sweep.dir` has the time in it, the first command's folder is the study's.

        Raises:
            SweepError: it cannot be written.
        """
        composition = self.request.composition
        composition.name_study(study.base_name)
        if composition.has_time_in_its_folder:
            composition.move_to(study.first_attribute(FOLDER, str(composition.sweep_dir)))
        composition.make_folder()
        study.look_for_runs(self.request.run_folders())

    def _run_trials(self, study: SweepStudy, parent: ParentRun | None) -> tuple[bool, Returns]:
        """Run the plan; the run in MLflow ends if a signal stops it. Returns: see `_run_plan`."""
        try:
            return self._run_plan(study, None if parent is None else parent.run_id)
        except (KeyboardInterrupt, SystemExit) as stop:
            self._close_parent(parent, study, "KILLED")
            if not isinstance(stop, KeyboardInterrupt):
                self.say("stopped; run the same command again to continue")
            raise
        except SweepError:
            self._close_parent(parent, study, "FAILED")
            raise

    def _print_results(self, study: SweepStudy, parent: ParentRun | None, records: Records, n_run: int) -> None:
        """Print the study with its best points, and write `optimization_results.yaml`."""
        wanted = sum(map(self.plan.wants, records))
        asked = counted(wanted, "trial") if study.goal.error else counted(len(self.plan), "point")
        ranking = Ranking(records, study.goal)
        further = self._further(study, ranking, parent)
        print_summary(self.console, ranking, study.name, asked, n_run, study.n_superseded, further)
        with suppress(OSError):  # a full disk: the study has it all
            write_results(ranking, self.request.composition.sweep_dir)
        for line in reasons_to_end(study, self.plan, self.settings, records):
            self.say(line)

    def _end(
        self, study: SweepStudy, parent: ParentRun | None, records: Records, new: Records, ended: tuple[bool, Returns]
    ) -> list[Sequence[JobReturn]]:
        """Close the run in MLflow; return the results of the `new` records, those of trials that have ended now.

        Raises:
            SystemExit: see `StudySweeper.sweep`.
        """
        has_ended, known = ended
        if not has_ended and (study.n_open(self.plan) or not study.is_finished(self.plan)):
            self.say(
                f"hydra.sweeper.timeout={self.settings.timeout} is over: no further trial starts; run the same command"
                " again to continue"
            )
            self._close_parent(parent, study, "KILLED")
            raise SystemExit(REQUEUE)
        n_failed = sum(record.state == "FAIL" and self.plan.wants(record) for record in new)
        n_done = sum(record.state in ("COMPLETE", "PRUNED") and self.plan.wants(record) for record in records)
        elsewhere = self.settings.detach and not study.is_finished(self.plan)  # other nodes still run trials
        succeeded = n_failed == 0 and (n_done > 0 or elsewhere)
        if not elsewhere:
            self._close_parent(parent, study, "FINISHED" if succeeded else "FAILED")
        if not succeeded:
            raise SystemExit(FAILED)
        return job_returns(new, known, self.request.composition.config, self.settings.max_batch_size)

    def _run_plan(self, study: SweepStudy, run_id: str | None) -> tuple[bool, Returns]:
        """Run the plan in this process or in several.

        Returns:
            Whether it has come to its end, before the command's time was over; and, by trial, what the jobs of this
            process have returned.
        """
        n_open = study.n_open(self.plan)
        n_workers = 1 if is_detached() else fitting_workers(self.settings)
        n_workers = min(n_workers, n_open, self.settings.max_batch_size or n_open)
        self._explain_launcher(n_workers)
        if self.settings.max_step is None and self.settings.has_pruner:
            unit = self.settings.step_name
            self.say(f"the pruner compares trials at equal {unit}: it may end a slow one that would win in equal time")
        more = n_open > n_workers and not is_detached()
        sharing = sharing_of(self.settings, lambda: study.n_open(self.plan), self.say) if more else None
        # nobody can stop this process's own job in time if it hangs in a library
        is_timed = self.limits.given and (n_open > 0 or not study.is_finished(self.plan))
        if is_detached():
            self.limits.count_from(jobs_begun(study))
        if n_workers > 1 or sharing is not None or is_timed or is_detached():
            return self._leader(study, max(1, n_workers), sharing, run_id).work(), {}
        worker = self._worker(study, run_id)
        with ending_children():
            worker.work()
        return True, worker.launch.returns

    def _further(self, study: SweepStudy, ranking: Ranking, parent: ParentRun | None) -> list[Step]:
        """What the user may want after the sweep: its results' commands, its report, its pages in MLflow."""
        report = "to see curves, pictures and all trials", report_command(study.name, self.settings.storage)
        page = [] if parent is None else [("to compare its trials in MLflow", parent.page(ranking.goal))]
        return [*next_steps(ranking, study.attribute(ATTRIBUTE)), report, *page]

    def _open_study(self) -> SweepStudy:
        """Open the study of this command; create it if it is new."""
        settings = self.settings
        for known in settings.warm_start if self.orders is None else ():  # check before a study is created in vain
            complete_trials(open_storage(absolute_url(settings.storage)), known, settings.directions)
        limits = Limits(
            settings.max_retries,
            settings.max_requeues,
            settings.max_failure_rate,
            settings.max_equal_failures,
            settings.grace,
            settings.target,
        )
        leader = None if self.orders is None else self.orders.leader
        name: str = self.request.study_name
        identity: Mapping[str, Any] | None = self.request.identity
        if STUDY in os.environ and (self.orders is not None or is_detached()):
            name, identity = os.environ[STUDY], None  # checked already; variables of the environment may differ here
        return SweepStudy(settings.storage, name, settings.directions, identity, self.say, limits, leader)

    def _leader(
        self, study: SweepStudy, n_workers: int, sharing: GpuSharing | None, parent_run_id: str | None
    ) -> Leader:
        config, folder = self.request.composition.config, self.request.composition.sweep_dir / WORKERS
        count = f"{n_workers} worker{'s' if n_workers > 1 else ''}"
        self.say(f"{count}; their output is in {folder}, that of a trial in output.txt of its own folder")
        return Leader(
            study=study,
            config=config,
            shares=[environment(self.settings, n_workers, place) for place in range(n_workers)],
            limits=self.limits,
            sharing=sharing,
            as_axes=self.request.as_axes,
            parent_run_id=parent_run_id,
            folder=folder,
            view=self._view(study, n_workers),
            say=self.say,
            stop_seconds=self.settings.stop_seconds,
            stop=self.stop,
        )

    def _explain_launcher(self, n_workers: int) -> None:
        """Say that a launcher's own number of jobs has no effect: each worker hands it one job at a time."""
        n_jobs = self.request.composition.config.hydra.launcher.get("n_jobs")  # joblib's
        if n_jobs not in (None, -1, 1, n_workers):
            self.say(
                f"hydra.launcher.n_jobs={n_jobs} has no effect, and {n_workers} at a time run: each worker launches one"
                f" job; hydra.sweeper.workers={n_jobs} runs so many at a time"
            )

    def _worker(self, study: SweepStudy, parent_run_id: str | None) -> Worker:
        launch = Launch(study, self.request, self.make_launcher(), parent_run_id, self.say)
        # lines, also on a terminal: a lone worker's job may draw progress
        view = EventLines(self.say, self.plan)
        return Worker(launch, view, self.stop, leaves=is_detached(), led=self.orders is not None)

    def _view(self, study: SweepStudy, n_workers: int) -> View:
        """Choose the leader's view: a table on a terminal, else lines, for what happens from now on."""
        if self.console.is_terminal:
            return LiveTable(self.console, self.plan, n_workers)
        return EventLines(self.say, self.plan, study.changes())

    def _open_parent(self, study: SweepStudy) -> ParentRun | None:
        uri, experiment = self.settings.mlflow_tracking_uri, self.settings.mlflow_experiment
        if uri is None or experiment is None:
            return None
        axes, about = space_of(self.request.axes), " ".join(self.request.about)
        return or_warn(lambda: open_parent(uri, experiment, study, axes, about, self.say), self.say)

    def _close_parent(self, parent: ParentRun | None, study: SweepStudy, status: str) -> None:
        if parent is not None:
            or_warn(lambda: close_parent(parent, study, status), self.say)
