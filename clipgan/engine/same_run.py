"""Whether a checkpoint is of the run that would go on from it: in its settings, its data and its encoders."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from clipgan.base.errors import UserError
from clipgan.config import Config
from clipgan.engine import run_checkpoints
from clipgan.engine.checkpoint_file import load_checkpoint, snapshots


def check_data(config: Config, run_dir: Path, data: Mapping[str, str | None]) -> None:
    """Refuse to go on with other data as soon as these are known: before encoders are trained on them.

    A damaged checkpoint is passed over: all of a run have the same data, and `find` says later what is damaged.

    Args:
        config: the run.
        run_dir: its directory.
        data: the part of `Task.sources` that is of the data.

    Raises:
        UserError: see `refuse_other`.
    """
    if not run_checkpoints.exists(config.resume, run_dir):
        return
    own = [run_dir / run_checkpoints.LATEST, *reversed(snapshots(run_dir))]
    for path in own if config.resume == "auto" else [Path(config.resume)]:
        with suppress(UserError):
            found = path, load_checkpoint(path, torch.device("meta"), checksum=True, task=None)
            break
    else:
        return
    refuse_other(found, config, data)


def refuse_other(found: run_checkpoints.Found, config: Config, sources: Mapping[str, Any]) -> None:
    """Refuse to go on from a checkpoint that is not of this run.

    Args:
        found: the checkpoint.
        config: this run's.
        sources: identity of this run's data and encoders, as far as it is known.

    Raises:
        UserError: the checkpoint has no training, or one with other settings, data or encoders.
    """
    path, content = found
    if not content["history"]:
        raise UserError(f"resume={path} holds weights and no training to resume; init={path} starts from them")
    stored = content.get("sources")  # earlier versions did not store them
    run_checkpoints.refuse_other_run(path, content["config"], config, same_files=stored is None)
    if stored is not None:
        data = f"data={config.data.name}" if config.data.path is None else f"data.path={config.data.path}"
        run_checkpoints.refuse_other_sources(path, stored, sources, data)
