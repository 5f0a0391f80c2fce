"""What several tests share: composing the shipped configuration, and small data."""

from pathlib import Path

from hydra import compose, initialize_config_dir

from clipgan.command import compose_config
from clipgan.config import Config

ROOT = Path(__file__).parent.parent


def compose_node(*overrides: str):
    """The composed node of `train.py` with these overrides."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def make_config(*overrides: str) -> Config:
    """What `train.py` makes of these overrides."""
    return compose_config(overrides)


class Payload:
    """An object whose pickle, when it is loaded, executes code: it sets `executed`."""

    executed = False

    def __reduce__(self):
        return (setattr, (Payload, "executed", True))
