"""Makes the sweeper known to Hydra as `hydra/sweeper: study`, with the groups `sampler` and `pruner`.

An app has `sampler: auto` and `pruner: none` in its defaults list; `pruner=median` then fills `hydra.sweeper.pruner`.

Hydra instantiates only classes that are defined under `hydra_plugins`, hence the empty subclass.
"""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore

from sweeps import sweeper
from sweeps.base.options import PRUNERS, SAMPLERS
from sweeps.base.settings import Settings


class StudySweeper(sweeper.StudySweeper):
    """See `sweeps.sweeper.StudySweeper`."""


@dataclass
class StudySweeperConf(Settings):
    """What stands under `hydra.sweeper`: the settings, and Hydra's name of the class that has them."""

    _target_: str = "hydra_plugins.clipgan_sweeper.StudySweeper"
    _recursive_: bool = False  # the pruner and the sampler are made where they are used


# Hydra copies its sources, and with them all of the store, for each composition and each group that --help lists: that
# was most of --help's time. The store copies what is loaded from it, so one is enough.
ConfigStore.__deepcopy__ = lambda self, memo: self  # type: ignore[attr-defined]

store = ConfigStore.instance().store
store(group="hydra/sweeper", name="study", node=StudySweeperConf, provider="clipgan_sweeper")
for group, options in (("pruner", PRUNERS), ("sampler", SAMPLERS)):
    for name, node in options.items():
        store(group=group, name=name, node=node, package=f"hydra.sweeper.{group}", provider="clipgan_sweeper")
