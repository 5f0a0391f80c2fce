"""What the sweeper does with a command line before its first trial, without a trial."""

from pathlib import Path

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf

from clipgan.config.command_line import register_resolvers
from sweeps.base.settings import Settings
from sweeps.command.composition import Composition
from sweeps.command.make_plan import plan_of
from sweeps.command.point_check import check_points
from sweeps.points.search_space import space_of
from sweeps.study.claims import SweepStudy


def check_sweep(conf: Path, overrides: list[str], storage: Path) -> list[str]:
    """Compose, plan and queue a sweep.

    Args:
        conf: the app's folder of YAML files.
        overrides: what follows `-m`.
        storage: folder for a study of its own.

    Returns:
        The overrides of the job with the last values of all axes; the first ones have been composed.

    Raises:
        HydraException: what the sweeper would say.
    """
    register_resolvers()
    with initialize_config_dir(str(conf), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("config", overrides, run_mode=RunMode.MULTIRUN)
        fields = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
        settings = Settings(**{key: value for key, value in fields.items() if not key.startswith("_")})
        settings.check()
        composition = Composition(HydraContext(loader, None), config)
        layout, fixed = composition.parse(settings.params, list(config.hydra.overrides.task))
        plan = plan_of(settings, layout, fixed, composition)
        study = SweepStudy(f"sqlite:///{storage}/s.db", "s", settings.directions, {"axes": [], "config": {}}, print)
        study.enqueue(plan, space_of(layout.axes), warm_start=settings.warm_start)
        composition.check_choices(layout, fixed)
        check_points(plan.source, fixed, composition, settings.point_check)
    return [*fixed, *(axis.override(axis.examples[-1]) for axis in layout.axes)]
