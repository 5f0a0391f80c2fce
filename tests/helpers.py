"""What several tests share: composing the shipped configuration, and small data."""

import copy
import functools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from clipgan.config import Config, from_yaml, refuse_unread
from clipgan.config.arguments import key_of, quote_paths

ROOT = Path(__file__).parent.parent
OF_THIS_RUN = ("time", "crc32", "sec_per_kimg", "sec_per_epoch", "memory_gb", "snapshot_seconds")


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


def records(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of a run's `metrics.jsonl`."""
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def repeatable(run_dir: Path) -> list[dict[str, Any]]:
    """The same without the keys whose values differ when a run is repeated."""
    return [{key: value for key, value in row.items() if key not in OF_THIS_RUN} for row in records(run_dir)]


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, as a user that tests alone have; return what it says."""
    who = {f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env={**os.environ, **who}, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


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
