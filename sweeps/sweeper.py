"""The Hydra sweeper: a grid of overrides becomes a study, and each of its points one job."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from sweeps.settings import Settings

# Hydra imports every plugin for every command, `--help` included: Optuna, MLflow and rich are imported inside.
if TYPE_CHECKING:
    from sweeps.composition import Composition
    from sweeps.mlflow_parent import ParentRun
    from sweeps.plan import Plan
    from sweeps.search_space import AnyAxis, Space
    from sweeps.study import SweepStudy
    from sweeps.worker import Worker

INTERRUPTED = 130  # exit status after Ctrl-C, as in a shell


class StudySweeper(Sweeper):
    """Runs each point of a grid exactly once, and finishes tomorrow what was interrupted today.

    Args:
        settings: the fields of `Settings`, where each is explained.
    """

    def __init__(self, **settings: Any) -> None:
        plain: dict[str, Any] = {
            name: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for name, v in settings.items()
        }
        self.settings = Settings(**plain)
        self.config: DictConfig
        self.hydra_context: HydraContext
        self.launcher: Launcher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        from hydra.core.plugins import Plugins

        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the points that are left and print the study; their values are in the storage.

        Raises:
            SweepError: a setting, an axis or the storage is not allowed.
            SystemExit: status 1 if a trial failed now or no point is complete, 130 after Ctrl-C.
        """
        from sweeps.composition import Composition
        from sweeps.plan import Grid, Plan
        from sweeps.search_space import only_choices, points, space_of
        from sweeps.table import new_console

        self.settings.check()
        self.say = new_console().print
        composition = Composition(self.hydra_context, self.config)
        axes, fixed = composition.parse(self.settings.params, arguments)
        composition.check_choices(axes, fixed)
        study = self._open_study(composition, axes, fixed)
        self._note_command(study, fixed)
        composition.name_study(study.family)
        plan = Plan(Grid(points(only_choices(axes))))
        study.enqueue(plan, space_of(axes), self.settings.retry_failed)
        parent = self._open_parent(study, space_of(axes))
        worker = self._worker(study, plan, fixed, composition, parent)
        try:
            worker.work()
        except (KeyboardInterrupt, SystemExit) as stop:
            self._close_parent(parent, study, "KILLED")
            raise SystemExit(INTERRUPTED if isinstance(stop, KeyboardInterrupt) else stop.code) from None
        self._summarise(study, len(plan), worker.n_run)
        n_complete = sum(record.state == "COMPLETE" and plan.wants(record) for record in study.records())
        succeeded = worker.n_failed == 0 and n_complete > 0
        self._close_parent(parent, study, "FINISHED" if succeeded else "FAILED")
        if not succeeded:
            raise SystemExit(1)

    def _open_study(self, composition: "Composition", axes: "Sequence[AnyAxis]", fixed: Sequence[str]) -> "SweepStudy":
        """The study of this command, made if it is new."""
        from sweeps.identity import derived_name, identity_of
        from sweeps.study import SweepStudy

        settings = self.settings
        names = [axis.name for axis in axes]
        identity = identity_of(composition.without_axes(fixed), names, settings.not_identity)
        name = settings.study_name or derived_name(identity)
        return SweepStudy(settings.storage, name, settings.direction, identity, self.say)

    def _note_command(self, study: "SweepStudy", fixed: Sequence[str]) -> None:
        """Keep with the study what a report of it needs to know."""
        from sweeps.reproduce import ATTRIBUTE, note

        study.set_attribute(ATTRIBUTE, note(fixed))
        study.set_attribute("step_name", self.settings.step_name)

    def _worker(
        self,
        study: "SweepStudy",
        plan: "Plan",
        fixed: Sequence[str],
        composition: "Composition",
        parent: "ParentRun | None",
    ) -> "Worker":
        from sweeps.live import Lines
        from sweeps.worker import Worker

        return Worker(
            study=study,
            plan=plan,
            fixed=fixed,
            composition=composition,
            launcher=self.launcher,
            view=Lines(self.say, plan),
            parent_run_id=None if parent is None else parent.run_id,
        )

    def _summarise(self, study: "SweepStudy", n_points: int, n_run: int) -> None:
        from sweeps.table import new_console, print_summary

        print_summary(
            new_console(),
            study.records(),
            direction=self.settings.direction,
            step_name=self.settings.step_name,
            study=study.name,
            n_points=n_points,
            n_run=n_run,
            n_superseded=study.n_superseded,
        )

    def _open_parent(self, study: "SweepStudy", space: "Space") -> "ParentRun | None":
        uri, experiment = self.settings.mlflow_tracking_uri, self.settings.mlflow_experiment
        if uri is None or experiment is None:
            return None
        from sweeps.mlflow_parent import open_parent, or_warn

        return or_warn(lambda: open_parent(uri, experiment, study, space), self.say)

    def _close_parent(self, parent: "ParentRun | None", study: "SweepStudy", status: str) -> None:
        if parent is None:
            return
        from sweeps.mlflow_parent import or_warn
        from sweeps.table import best

        records = study.records()
        leader = best(records, self.settings.direction)
        states = Counter(record.state for record in records)
        value = None if leader is None else leader.value
        or_warn(lambda: parent.finish(status, value, states["COMPLETE"], states["FAIL"]), self.say)
