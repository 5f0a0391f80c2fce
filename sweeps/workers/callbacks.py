"""Call Hydra's callbacks once per event, although several processes run one sweep.

Hydra calls `on_multirun_start` before it creates the sweeper, in each process with this command line. So a worker
starts without callbacks, and gets them back for the events of its jobs.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, open_dict, read_write

from clipgan.base.composing import given_overrides
from sweeps.base.environment import DETACHED


def without_callbacks(config: DictConfig) -> list[str]:
    """Return the overrides that remove a command's callbacks, one for each callback."""
    return [f"~hydra.callbacks.{name}" for name in config.hydra.callbacks or ()]


def removed_callbacks(config: DictConfig) -> list[str]:
    """Return these overrides for a worker, also if this leader's command line has them: see `detached.submit`."""
    return [*json.loads(os.environ.get(DETACHED, "[]")), *without_callbacks(config)]


def own_arguments(config: DictConfig) -> list[str]:
    """Return the arguments that start this process's command again, without callbacks.

    The further overrides come after the command's own: argparse wants them together.
    """
    own = sys.orig_argv[1:]
    overrides = [*given_overrides(config.hydra, "hydra"), *given_overrides(config.hydra, "task")]
    end = max((place for place, argument in enumerate(own, 1) if argument in overrides), default=len(own))
    return [*own[:end], *without_callbacks(config), *own[end:]]


def give_back_callbacks(context: HydraContext, config: DictConfig, taken: Sequence[str]) -> HydraContext:
    """Return a worker's context with the callbacks that its command line has removed.

    Args:
        context: Hydra's context.
        config: the sweep's config; this function undoes the overrides `taken` in it.
        taken: from `without_callbacks`.
    """
    hydra = [line for line in given_overrides(config.hydra, "hydra") if line not in taken]
    whole = context.config_loader.load_configuration(
        config_name=config.hydra.job.config_name,
        overrides=[*hydra, *given_overrides(config.hydra, "task")],
        run_mode=RunMode.MULTIRUN,
    )
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.callbacks = whole.hydra.callbacks
        config.hydra.overrides.hydra = hydra
    return replace(context, callbacks=type(context.callbacks)(config))
