"""What several tests share: composing the shipped configuration, and small data."""

from pathlib import Path

import torch
from hydra import compose, initialize_config_dir

from clipgan.config import Config
from clipgan.config.command_line import compose_config

ROOT = Path(__file__).parent.parent


def compose_node(*overrides: str):
    """The composed node of `train.py` with these overrides."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def make_config(*overrides: str) -> Config:
    """What `train.py` makes of these overrides."""
    return compose_config(overrides)


def assert_same(first, second, place=""):
    """The same plain data, and tensors of the same bits."""
    assert type(first) is type(second), place
    if isinstance(first, dict):
        assert first.keys() == second.keys(), place
        for key in first:
            assert_same(first[key], second[key], f"{place}.{key}")
    elif isinstance(first, torch.Tensor):
        torch.testing.assert_close(first, second, rtol=0, atol=0, msg=place)
    else:
        assert first == second, place


class Payload:
    """An object whose pickle, when it is loaded, executes code: it sets `executed`."""

    executed = False

    def __reduce__(self):
        return (setattr, (Payload, "executed", True))
