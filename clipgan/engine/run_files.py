"""The checkpoints of a run directory: which one to go on from, and which to keep.

A snapshot's are `checkpoint-000008.pt`. `latest.pt` is a training between two snapshots, as an interruption leaves it.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch

from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.config import Config, flatten, from_yaml, plain
from clipgan.config.identity import CHANGE_NO_METRIC, CHANGE_WHEN_RESUMED, is_listed
from clipgan.engine.checkpoint import checkpoint_path, load_checkpoint, snapshots

LATEST = "latest.pt"
ABANDONED = "abandoned"  # where the checkpoints of a branch go that a run has left
RESUMABLE = (*CHANGE_NO_METRIC, *CHANGE_WHEN_RESUMED)  # keys that may change between a run and its resumption

Found = tuple[Path, dict[str, Any]]  # a checkpoint, and what is in it


def save_config(run_dir: Path, config: Config) -> Path:
    """Write `config.yaml`."""
    from omegaconf import OmegaConf

    path = run_dir / "config.yaml"
    OmegaConf.save(OmegaConf.create(plain(config)), path)
    return path


def exists(resume: str, run_dir: Path) -> bool:
    """Whether there is something to go on from."""
    return resume not in ("none", "auto") or (resume == "auto" and holds_checkpoint(run_dir))


def holds_checkpoint(run_dir: Path) -> bool:
    """Whether a directory has a checkpoint, good or not."""
    return (run_dir / LATEST).exists() or bool(snapshots(run_dir))


def check_resumption(config: Config) -> None:
    """
    Raises:
        UserError: the checkpoint to go on from is missing.
    """
    if config.resume not in ("auto", "none") and not Path(config.resume).is_file():
        raise UserError(f"resume={config.resume} does not exist; give a checkpoint file, auto or none")


def find(resume: str, run_dir: Path, device: torch.device) -> Found | None:
    """The checkpoint to go on from, loaded: the run directory's newest good one (auto), the named file, or none.

    Raises:
        UserError: there is none that can be used, where there should be.
    """
    if not exists(resume, run_dir):
        return None
    if resume != "auto":
        return Path(resume), load_checkpoint(Path(resume), device, checksum=True, task=None)
    return newest_good(run_dir, device)


def newest_good(run_dir: Path, device: torch.device) -> Found:
    """The newest checkpoint of a directory that is what was written; a line tells of each that is not.

    `latest.pt` is the newest where its step is later than that of the newest good snapshot: a kill may have come
    between a snapshot and the removal of `latest.pt`.

    Raises:
        UserError: not one of them is.
    """
    damaged: list[str] = []
    for path in _newest_first(run_dir, damaged):
        content = _good(path, device, damaged)
        if content is not None:
            if damaged:
                console.print(f"going on from {path} instead", markup=False)
            return path, content
    raise UserError(f"no checkpoint in {run_dir} can be used: {damaged[-1]}; resume=none starts afresh")


def _newest_first(run_dir: Path, damaged: list[str]) -> Iterator[Path]:
    """What may be gone on from, by the step inside; of two at one step the snapshot, whose figures are known."""
    meta, latest = torch.device("meta"), run_dir / LATEST
    between = _good(latest, meta, damaged) if latest.exists() else None
    for path in reversed(snapshots(run_dir)):
        if between is not None:
            content = _good(path, meta, damaged)
            if content is None:
                continue
            if between["state"]["step"] > content["state"]["step"]:
                yield latest
            between = None
        yield path
    if between is not None:
        yield latest


def _good(path: Path, device: torch.device, damaged: list[str]) -> dict[str, Any] | None:
    """A checkpoint, or None and a line where it is damaged."""
    try:
        return load_checkpoint(path, device, checksum=True, task=None)
    except UserError as error:
        damaged.append(str(error))
        console.print(f"{error}; trying the one before", markup=False)
        return None


def set_aside(run_dir: Path, begin: Found | None) -> None:
    """Move away what does not lead to the checkpoint that a run begins from, so that `auto` never goes on from it.

    Args:
        run_dir: the run's directory. Its snapshots up to a checkpoint of its own lead there, and none to another's.
        begin: the checkpoint that was named (resume=FILE); None where the run starts afresh (resume=none).
    """
    moved = [path for path in (run_dir / LATEST, *reversed(snapshots(run_dir))) if path.exists()]
    own = [path for path in moved if begin is not None and path.resolve() == begin[0].resolve()]
    if begin is not None and own:
        seen = {checkpoint_path(run_dir, kimg) for kimg, _ in begin[1]["history"]}
        moved = [path for path in moved if path not in (*seen, *own)]
    if not moved:
        return
    folder = next(path for path in _numbered(run_dir / ABANDONED) if not path.exists())
    folder.mkdir()
    for path in moved:
        path.rename(folder / path.name)
    names = ", ".join(path.name for path in moved)
    console.print(f"this run leaves another branch; its checkpoints are in {folder}: {names}", markup=False)


def _numbered(path: Path) -> Iterator[Path]:
    """`abandoned`, `abandoned-2`, `abandoned-3` ..."""
    yield path
    for number in count(2):
        yield path.with_name(f"{path.name}-{number}")


def drop_latest(run_dir: Path) -> None:
    """A snapshot makes `latest.pt` superfluous."""
    (run_dir / LATEST).unlink(missing_ok=True)


def keep_only(
    run_dir: Path, history: Sequence[tuple[int, float]], last: int | None, best: int, maximised: bool = False
) -> None:
    """Delete the snapshots' checkpoints but for some.

    Args:
        run_dir: where they lie.
        history: mark (kimg) and figure (FID) of all snapshots.
        last: how many of the newest to keep; None: all.
        best: how many of those with the best figure to keep besides.
        maximised: whether the best is the highest, not the lowest.
    """
    if last is None:
        return
    ranked = sorted(history, key=lambda entry: -entry[1] if maximised else entry[1])
    kept = {checkpoint_path(run_dir, kimg) for kimg, _ in [*history[-last:], *ranked[:best]]}
    for path in snapshots(run_dir):
        if path not in kept:
            path.unlink()


def refuse_other_run(path: Path, theirs: dict[str, Any], ours: Config) -> None:
    """Refuse the checkpoint of a run whose figures would not be this one's.

    Raises:
        UserError: names the first keys that differ.
    """
    there, here = flatten(from_yaml(theirs)), flatten(ours)  # the door adds what an earlier version did not write
    keys = [key for key in sorted(there.keys() | here.keys()) if not is_listed(key, RESUMABLE)]
    refuse_differences(path, {key: there.get(key) for key in keys}, {key: here.get(key) for key in keys})


def refuse_differences(path: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Refuse a checkpoint where one of our values is another in it, such as the fingerprint of the data.

    Args:
        path: the checkpoint.
        theirs: names to values.
        ours: the same of this run.

    Raises:
        UserError: names the first that differ.
    """
    changed = [f"{key}={theirs.get(key)} there, {ours[key]} here" for key in ours if theirs.get(key) != ours[key]]
    if changed:
        raise UserError(f"checkpoint {path} is of another run: {'; '.join(changed[:3])}; resume=none starts afresh")
