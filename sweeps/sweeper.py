"""The Hydra sweeper: a grid of overrides becomes a study, and each of its points one job."""

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from sweeps.base.settings import Settings

# Hydra imports every plugin for every command, `--help` included: Optuna, MLflow and rich are imported inside.
if TYPE_CHECKING:
    from hydra.plugins.launcher import Launcher

    from sweeps.base.signals import Stop
    from sweeps.command.request import Request
    from sweeps.display.mlflow_run import ParentRun
    from sweeps.display.progress import View
    from sweeps.job.task_function import Job
    from sweeps.points.search_space import Space
    from sweeps.points.trial_record import TrialRecord
    from sweeps.study.claims import SweepStudy
    from sweeps.workers.leader import Leader, Orders
    from sweeps.workers.worker import Worker

INTERRUPTED = 130  # exit status after Ctrl-C, as in a shell
ENDED = ("COMPLETE", "PRUNED", "FAIL")
WORKERS = "workers"  # folder in that of the sweep


class StudySweeper(Sweeper):
    """Runs each point of a grid exactly once, and finishes tomorrow what was interrupted today.

    Args:
        settings: the fields of `Settings`, where each is explained.
    """

    def __init__(self, **settings: Any) -> None:
        plain: dict[str, Any] = {
            name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }
        self.settings = Settings(**plain)
        self.config: DictConfig
        self.hydra_context: HydraContext
        self.job: Job
        self.orders: Orders | None  # of the leader whose worker this process is
        self.stop: Stop
        self.request: Request

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        from sweeps.job.task_function import Job
        from sweeps.reuse import ReusingLoader
        from sweeps.workers.leader import Orders

        self.orders = Orders.received()
        self.hydra_context = HydraContext(
            ReusingLoader(hydra_context.config_loader.get_search_path()), hydra_context.callbacks
        )
        self.config = config
        self.job = Job(task_function, to_file=self.orders is not None)

    def sweep(self, arguments: list[str]) -> None:
        """Run the points that are left and print the study; their values are in the storage.

        Raises:
            SweepError: a setting, an axis or the storage is not allowed.
            SystemExit: status 1 if a trial failed now or no point is complete or pruned, 130 after Ctrl-C, 143 after
                SIGTERM, 75 if a job was preempted.
        """
        from sweeps.base.signals import Stop
        from sweeps.display.summary import new_console

        self.stop, self.console = Stop(), new_console()
        try:
            with self.stop.heeding():
                self._sweep(arguments)
        except KeyboardInterrupt:
            self.say("stopped; the same command goes on")
            raise SystemExit(INTERRUPTED) from None

    def _sweep(self, arguments: list[str]) -> None:
        from sweeps.base.signals import end_with_parent
        from sweeps.command.composition import Composition
        from sweeps.command.request import read
        from sweeps.points.search_space import space_of

        if self.orders is not None:
            end_with_parent(self.orders.leader["pid"])
        composition = Composition(self.hydra_context, self.config)
        self.request = read(self.settings, composition, arguments, check=self.orders is None)
        if self.settings.dry_run:
            from sweeps.workers.dry_run import DryRun

            DryRun(self.request, self._launcher(), self.say).tell()
            return
        study = self._open_study()
        composition.name_study(study.family)
        if self.orders is not None:
            self._worker(study, self.orders.parent_run_id).work()
        else:
            self._note_command(study)
            space = space_of(self.request.axes)
            study.enqueue(self.request.plan, space, self.settings.retried, self.settings.warm_start)
            self._lead(study, self._open_parent(study, space))

    def _lead(self, study: "SweepStudy", parent: "ParentRun | None") -> None:
        """Run the plan in this process or in several, and say what came of it."""
        plan, limit = self.request.plan, self.settings.max_failure_rate
        before = {record.number for record in study.records() if record.state in ENDED}
        run_id = None if parent is None else parent.run_id
        try:
            n_workers = min(self._fitting_workers(), study.n_open(plan))
            if n_workers > 1:
                self._leader(study, n_workers, run_id).work()
            else:
                self._worker(study, run_id).work()
        except (KeyboardInterrupt, SystemExit) as stop:
            self._close_parent(parent, study, "KILLED")
            if not isinstance(stop, KeyboardInterrupt):
                self.say("stopped; the same command goes on")
            raise
        records = study.records()
        new = [record for record in records if record.state in ENDED and record.number not in before]
        self._summarise(study, records, len(new))
        if study.failure_rate(plan) > limit:
            self.say(
                f"given up: {study.failure_rate(plan):.0%} of the trials have failed, which is more than"
                f" hydra.sweeper.max_failure_rate={limit}; go on with a greater one, or with"
                " hydra.sweeper.retry_failed=true"
            )
        n_failed = sum(record.state == "FAIL" and plan.wants(record) for record in new)
        n_done = sum(record.state in ("COMPLETE", "PRUNED") and plan.wants(record) for record in records)
        succeeded = n_failed == 0 and n_done > 0
        self._close_parent(parent, study, "FINISHED" if succeeded else "FAILED")
        if not succeeded:
            raise SystemExit(1)

    def _open_study(self) -> "SweepStudy":
        """The study of this command, made if it is new."""
        from sweeps.study.claims import SweepStudy
        from sweeps.study.queue import Limits
        from sweeps.study.storage import absolute_url, open_storage
        from sweeps.study.warm_start import complete_trials

        settings, request = self.settings, self.request
        for known in settings.warm_start if self.orders is None else ():  # before a study is made for nothing
            complete_trials(open_storage(absolute_url(settings.storage)), known, settings.directions)
        limits = Limits(settings.max_retries, settings.max_failure_rate, settings.grace)
        leader = None if self.orders is None else self.orders.leader
        name, identity = request.study_name, request.identity
        return SweepStudy(settings.storage, name, settings.directions, identity, self.say, limits, leader)

    def _note_command(self, study: "SweepStudy") -> None:
        """Keep with the study what a report of it needs to know."""
        from sweeps.command.command_line import ATTRIBUTE, note

        study.set_attribute(ATTRIBUTE, note(self.request.fixed))
        study.set_attribute("step_name", self.settings.step_name)
        study.keep_goal(self.request.plan.goal)

    def _fitting_workers(self) -> int:
        from sweeps.workers.machine import fitting_workers

        return fitting_workers(self.settings)

    def _leader(self, study: "SweepStudy", n_workers: int, parent_run_id: str | None) -> "Leader":
        from sweeps.workers.leader import Leader
        from sweeps.workers.machine import environment

        folder = Path(str(self.config.hydra.sweep.dir)) / WORKERS
        self.say(f"{n_workers} workers; their output is in {folder}, that of a trial in output.txt of its own folder")
        return Leader(
            study=study,
            shares=[environment(self.settings, n_workers, place) for place in range(n_workers)],
            parent_run_id=parent_run_id,
            folder=folder,
            view=self._view(n_workers),
            stop_seconds=self.settings.stop_seconds,
            stop=self.stop,
        )

    def _worker(self, study: "SweepStudy", parent_run_id: str | None) -> "Worker":
        from sweeps.workers.launch import Launch
        from sweeps.workers.worker import Worker

        launch = Launch(study, self.request, self._launcher(), parent_run_id)
        view = self._view(n_workers=1)
        return Worker(study, self.request.plan, launch, view, self.settings.heartbeat, self.stop)

    def _launcher(self) -> "Launcher":
        """Not before the study has its name: a launcher's own folder may lie in that of the sweep."""
        from hydra.core.plugins import Plugins

        return Plugins.instance().instantiate_launcher(
            hydra_context=self.hydra_context, task_function=self.job, config=self.config
        )

    def _view(self, n_workers: int) -> "View":
        """A table where the terminal is ours alone, else lines: the one worker's job may draw its own progress."""
        from sweeps.display.progress import Board, Lines

        if n_workers > 1 and self.console.is_terminal:
            return Board(self.console, self.request.plan, self.settings.step_name, n_workers)
        return Lines(self.say, self.request.plan, self.settings.step_name)

    def say(self, line: str) -> None:
        """Show one line; a worker does not die of a log that cannot be written, as where the disk is full."""
        with suppress(OSError) if self.orders is not None else nullcontext():
            self.console.print(line)

    def _summarise(self, study: "SweepStudy", records: "Sequence[TrialRecord]", n_run: int) -> None:
        from sweeps.display.summary import print_summary

        print_summary(
            self.console,
            records,
            study.goal,
            step_name=self.settings.step_name,
            study=study.name,
            n_points=len(self.request.plan),
            n_run=n_run,
            n_superseded=study.n_superseded,
        )

    def _open_parent(self, study: "SweepStudy", space: "Space") -> "ParentRun | None":
        uri, experiment = self.settings.mlflow_tracking_uri, self.settings.mlflow_experiment
        if uri is None or experiment is None:
            return None
        from sweeps.display.mlflow_run import open_parent, or_warn

        return or_warn(lambda: open_parent(uri, experiment, study, space), self.say)

    def _close_parent(self, parent: "ParentRun | None", study: "SweepStudy", status: str) -> None:
        if parent is not None:
            from sweeps.display.mlflow_run import or_warn

            or_warn(lambda: parent.finish(status, study.records(), study.goal), self.say)
