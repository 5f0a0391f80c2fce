"""Whether a checkpoint is of the run that would go on from it: in its settings, its data, its encoders, its length."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from clipgan.base.errors import UserError
from clipgan.base.text import listed
from clipgan.config import Config, flatten, from_record
from clipgan.config.identity import (
    CHANGE_NO_METRIC,
    CHANGE_WHEN_RESUMED,
    CHECKED_BY_CONTENT,
    WITHIN_A_PROCESS,
    is_listed,
)
from clipgan.engine.checkpoint_file import load_checkpoint
from clipgan.engine.checkpoint_folder import ABANDONED, Found, checkpoints_in, exists

MAX_SHOWN = 20  # differences
# keys that may change between a run and its resumption; `refuse_other_sources` compares the content of files
MAY_CHANGE = (*CHANGE_NO_METRIC, *CHANGE_WHEN_RESUMED, *CHECKED_BY_CONTENT)


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
    if not exists(config.resume, run_dir):
        return
    for path in checkpoints_in(run_dir) if config.resume == "auto" else [Path(config.resume)]:
        with suppress(UserError):
            found = path, load_checkpoint(path, torch.device("meta"), checksum=True, task=None)
            break
    else:
        return
    refuse_other(found, config, data)


def refuse_other(found: Found, config: Config, sources: Mapping[str, Any]) -> None:
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
    refuse_other_run(path, content["config"], config)
    data = f"data={config.data.name}" if config.data.path is None else f"data.path={config.data.path}"
    refuse_other_sources(path, content.get("sources", {}), sources, data)


def refuse_other_run(path: Path, theirs: dict[str, Any], ours: Config) -> None:
    """Refuse the checkpoint of a run whose metrics would differ from this run's; files may have other names.

    Args:
        path: the checkpoint.
        theirs: the checkpoint's configuration.
        ours: this run's.

    Raises:
        UserError: names the first keys that differ.
    """
    try:
        there, here = flatten(from_record(theirs)), flatten(ours)  # `from_record` adds new keys
    except UserError as error:
        raise UserError(f"checkpoint {path} has a configuration that this version does not take: {error}") from error
    by_process = any(values.get(key) == "process" for values in (there, here) for key in WITHIN_A_PROCESS)
    keys = [
        key
        for key in sorted(there.keys() | here.keys())
        if not is_listed(key, MAY_CHANGE) or (by_process and key == "processes")
    ]
    refuse_differences(path, {key: there.get(key) for key in keys}, {key: here.get(key) for key in keys})


def refuse_other_sources(path: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any], data: str) -> None:
    """Refuse a checkpoint whose data or encoders had other content; other arguments as of `refuse_differences`.

    The data's fingerprint also has the times of the files, and so counts only where a content is not known. Where the
    data differ, so do the encoders that were trained on them, which the message leaves out.

    Args:
        data: the user's name of the data, for the message.

    Raises:
        UserError: says that the data have changed, or names the first other values that differ.
    """
    known = theirs.get("data.content") is not None  # 0.1.0 recorded none
    if known and theirs["data.content"] != ours["data.content"]:
        raise UserError(
            f"checkpoint {path}: images or captions of {data} have changed since its run began, which therefore cannot"
            " go on: give the old data, or train with these in a new run directory (hydra.run.dir=DIR); resume=none"
            " starts over in the old one"
        )
    left_out = "data.fingerprint" if known else "data.content"
    refuse_differences(path, theirs, {key: value for key, value in ours.items() if key != left_out})


def refuse_longer(path: Path, further: str | None) -> None:
    """Refuse a checkpoint that has been trained further than a run asks for: its values are not those of the run's end.

    Args:
        path: the checkpoint.
        further: why it is beyond this end, and the least length that is not; None if it is not.

    Raises:
        UserError: says so.
    """
    if further is not None:
        raise UserError(
            f"checkpoint {path} is of a longer training: {further} or more, or resume=none, which moves the checkpoints"
            f" to {ABANDONED}/ and starts over"
        )


def refuse_differences(path: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Refuse a checkpoint if a value differs from this run's, such as the fingerprint of the data.

    Args:
        path: the checkpoint.
        theirs: the checkpoint's values by name.
        ours: this run's values by name.

    Raises:
        UserError: names the values that differ, at most 20.
    """
    changed = [f"{key}={theirs.get(key)} there, {ours[key]} here" for key in ours if theirs.get(key) != ours[key]]
    if changed:
        shown = listed(changed, MAX_SHOWN, "; ")
        raise UserError(f"checkpoint {path} is of another run: {shown}; resume=none starts over")
