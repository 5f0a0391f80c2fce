"""Makes the sweeper known to Hydra as `hydra/sweeper: study`.

Hydra instantiates only classes that are defined under `hydra_plugins`, hence the empty subclass.
"""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore

from sweeps import sweeper
from sweeps.settings import Settings


class StudySweeper(sweeper.StudySweeper):
    """See `sweeps.sweeper.StudySweeper`."""


@dataclass
class StudySweeperConf(Settings):
    """What stands under `hydra.sweeper`: the settings, and Hydra's name of the class that has them."""

    _target_: str = "hydra_plugins.clipgan_sweeper.StudySweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="study", node=StudySweeperConf, provider="clipgan_sweeper")
