"""What several tests share: composing the shipped configuration, and small data."""

import copy
import functools
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from clipgan.config import Config, from_yaml, refuse_unread
from clipgan.config.arguments import key_of, quote_paths

ROOT = Path(__file__).parent.parent


def compose_node(*overrides: str):
    """The composed node of `train.py` with these overrides."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides))


@functools.cache
def _of_options(options: tuple[str, ...]) -> DictConfig:
    return compose_node(*options)


def make_config(*overrides: str) -> Config:
    """What `train.py` makes of these overrides, as `compose_config` does it in more than twice the time.

    Hydra chooses the options of groups first, then sets keys. Here, the choice is made once for several calls.
    """
    parsed = OverridesParser.create().parse_overrides(quote_paths(overrides))
    options = [each for each in parsed if (ROOT / "conf" / each.key_or_group).is_dir() or each.is_hydra_override()]
    node = copy.deepcopy(_of_options(tuple(each.input_line for each in options)))
    ConfigLoaderImpl._apply_overrides_to_config([each for each in parsed if each not in options], node)
    config = from_yaml(node)
    refuse_unread(config, map(key_of, overrides))
    return config


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
