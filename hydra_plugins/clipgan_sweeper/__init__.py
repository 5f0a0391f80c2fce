"""Makes the sweeper known to Hydra as `hydra/sweeper: study`, which changes nothing for an app that chooses another.

Its samplers and pruners are the groups `hydra/sweeper/study/sampler` and `hydra/sweeper/study/pruner`. They stand one
level below those of other sweepers, because Hydra's own Optuna plug-in has options of the same names.

Hydra instantiates only classes that are defined under `hydra_plugins`, hence the empty subclass.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore

from sweeps import sweeper
from sweeps.base.options import PRUNERS, SAMPLERS
from sweeps.base.settings import Settings

PROVIDER = "clipgan_sweeper"  # as `--info` names it


class StudySweeper(sweeper.StudySweeper):
    """See `sweeps.sweeper.StudySweeper`."""


@dataclass
class StudySweeperConf(Settings):
    """What stands under `hydra.sweeper`: the settings, and Hydra's name of the class that has them."""

    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"study/sampler": "auto"}, {"study/pruner": "none"}])
    _target_: str = "hydra_plugins.clipgan_sweeper.StudySweeper"
    _recursive_: bool = False  # the pruner and the sampler are made where they are used


def _register() -> None:
    store = ConfigStore.instance().store
    store(group="hydra/sweeper", name="study", node=StudySweeperConf, provider=PROVIDER)
    for kind, options in (("pruner", PRUNERS), ("sampler", SAMPLERS)):
        group, package = f"hydra/sweeper/study/{kind}", f"hydra.sweeper.{kind}"
        for name, node in options.items():
            store(group=group, name=name, node=node, package=package, provider=PROVIDER)


_register()
