"""What one command asks for: settings, axes, plan, and the study that it belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf

from clipgan.base.composing import composing, given_overrides
from clipgan.base.secrets import remember
from sweeps.base.settings import Settings
from sweeps.command.composition import Composition
from sweeps.command.make_plan import plan_of, with_conditions
from sweeps.command.point_check import check_points
from sweeps.points.layout import Layout
from sweeps.points.search_space import AnyAxis, job_overrides
from sweeps.search.plan import Grid, Plan
from sweeps.study.identity import derived_name, identity_of
from sweeps.study.run_folders import RunFolders


@dataclass(frozen=True)
class Request:
    """A command line, read and checked."""

    settings: Settings
    composition: Composition
    layout: Layout
    fixed: Sequence[str]  # overrides that all trials share
    plan: Plan
    identity: Mapping[str, Any]  # of its study
    as_axes: Sequence[str] = ()  # keys with one value that are axes of its study

    @property
    def axes(self) -> Sequence[AnyAxis]:
        """All axes."""
        return self.layout.axes

    @property
    def needs_number(self) -> bool:
        """Whether a job must return an objective. A plain grid runs without one, and then has no best point."""
        return self.settings.needs_number or not isinstance(self.plan.source, Grid)

    @property
    def about(self) -> list[str]:
        """What all trials share, in a few words for titles."""
        axes = {axis.name for axis in self.axes}
        return [str(text) for key, text in self.settings.about.items() if key not in axes and text is not None]

    @property
    def study_name(self) -> str:
        """The name that the study has or would have."""
        return self.settings.study_name or derived_name(self.identity)

    def run_folders(self) -> RunFolders:
        """The run directories that its study may find, after its folder has been chosen."""
        config, whole = self.composition.config, partial(job_overrides, self.axes, self.fixed)
        folder = self.composition.sweep_dir.absolute()
        swept = {axis.name for axis in self.axes}
        ignored = [key for key in self.settings.not_identity if key not in swept]
        return RunFolders(folder, config.hydra.output_subdir, whole, ignored)


def read(
    settings: Settings,
    composition: Composition,
    arguments: Sequence[str],
    check: bool,
    as_axes: Sequence[str] = (),
) -> Request:
    """Read a command line.

    Args:
        settings: what stands under `hydra.sweeper`.
        composition: of the sweep.
        arguments: the overrides of the command line.
        check: compose and check the points, as the first process of a sweep does.
        as_axes: keys with one value, to be taken as axes.

    Raises:
        SweepError: a setting or an axis is not allowed.
    """
    settings.check()
    remember(settings.mlflow_tracking_uri)
    asked, fixed = composition.parse(settings.params, arguments, as_axes)
    layout = with_conditions(asked, fixed, composition)
    plan = plan_of(settings, layout, fixed, composition)
    if check:
        composition.check_choices(layout, fixed)
        check_points(plan.source, fixed, composition, settings.point_check)
    config, unset = composition.without_axes(fixed)
    names = [axis.name for axis in layout.axes]
    identity = identity_of(config, names, settings.not_identity, fixed, unset, set(names) - set(layout.always))
    if (path := settings.custom_search_space) is not None:
        identity["config"]["hydra.sweeper.custom_search_space"] = path
    return Request(settings, composition, layout, fixed, plan, identity, as_axes)


def read_outside_hydra(folder: Path, name: str, overrides: Sequence[str]) -> Request:
    """Read the overrides of a sweep in a process that Hydra has not started, as the sweep's own process would.

    Args:
        folder: the app's folder of YAML files.
        name: of its primary file.
        overrides: what follows `-m`.

    Raises:
        SweepError, HydraException: an override is not allowed.
    """
    with composing(folder) as loader:
        no_callbacks: Any = None
        context = HydraContext(loader, no_callbacks)
        config = context.config_loader.load_configuration(name, list(overrides), run_mode=RunMode.MULTIRUN)
        fields: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
        settings = Settings(**{key: value for key, value in fields.items() if not key.startswith("_")})
        return read(settings, Composition(context, config), given_overrides(config.hydra, "task"), check=True)
