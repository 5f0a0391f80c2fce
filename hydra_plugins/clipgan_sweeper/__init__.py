"""Register the sweeper with Hydra as `hydra/sweeper: study`; an app with another sweeper does not change.

`hydra/sweeper: study_optuna` is the same sweeper for configurations that were written for Hydra's own Optuna plug-in.

Its samplers and pruners are the groups `hydra/sweeper/study/sampler` and `hydra/sweeper/study/pruner`: one level below
the groups of other sweepers, because Hydra's own Optuna plug-in has options of the same names.

`study_optuna` needs that plug-in's group `hydra/sweeper/sampler`, which is registered only where it is not installed.

Hydra instantiates only classes that are defined under `hydra_plugins`, hence the empty subclass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore

from sweeps import sweeper
from sweeps.base.optuna_plugin import PLUGIN_SAMPLERS, OptunaPluginSettings, is_installed, settings_from_plugin
from sweeps.base.samplers_and_pruners import PRUNERS, SAMPLERS
from sweeps.base.settings import Settings

PROVIDER = "clipgan_sweeper"  # the name that `--info` shows


class StudySweeper(sweeper.StudySweeper):
    """See `sweeps.sweeper.StudySweeper`."""


class OptunaPluginSweeper(sweeper.StudySweeper):
    """The same, with the settings of Hydra's own Optuna plug-in."""

    def read(self, given: Mapping[str, Any]) -> Settings:
        """Translate them: see `settings_from_plugin`."""
        return settings_from_plugin(given)


@dataclass
class StudySweeperConf(Settings):
    """The config node `hydra.sweeper`: the settings, and the class that Hydra creates from them."""

    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"study/sampler": "auto"}, {"study/pruner": "none"}])
    _target_: str = "hydra_plugins.clipgan_sweeper.StudySweeper"
    _recursive_: bool = False  # the sweeper itself creates the pruner and the sampler


@dataclass
class OptunaPluginSweeperConf(OptunaPluginSettings):
    """The config node `hydra.sweeper` of `study_optuna`."""

    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"sampler": "tpe"}, {"study/pruner": "none"}])
    _target_: str = "hydra_plugins.clipgan_sweeper.OptunaPluginSweeper"
    _recursive_: bool = False


def _register() -> None:
    store = ConfigStore.instance().store
    store(group="hydra/sweeper", name="study", node=StudySweeperConf, provider=PROVIDER)
    store(group="hydra/sweeper", name="study_optuna", node=OptunaPluginSweeperConf, provider=PROVIDER)
    for name, node in () if is_installed() else PLUGIN_SAMPLERS.items():
        store(group="hydra/sweeper/sampler", name=name, node=node, provider=PROVIDER)
    for kind, options in (("pruner", PRUNERS), ("sampler", SAMPLERS)):
        group, package = f"hydra/sweeper/study/{kind}", f"hydra.sweeper.{kind}"
        for name, node in options.items():
            store(group=group, name=name, node=node, package=package, provider=PROVIDER)


_register()
