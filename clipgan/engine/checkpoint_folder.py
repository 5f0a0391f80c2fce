"""The checkpoint files of a run directory: which is the newest good one, which are deleted, which are set aside.

A snapshot's checkpoint is `checkpoint-000008.pt`. `latest.pt` holds a training between two snapshots.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch

from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.config import Config
from clipgan.engine.checkpoint_file import checkpoint_path, load_checkpoint, snapshots

LATEST = "latest.pt"
GRID = re.compile(r"samples-(\d{6,})\.png")  # a snapshot's sample grid
ABANDONED = "abandoned"  # folder for the checkpoints of an abandoned branch

Found = tuple[Path, dict[str, Any]]  # a checkpoint and its content


def exists(resume: str, run_dir: Path) -> bool:
    """Whether there is a checkpoint to resume from."""
    return resume not in ("none", "auto") or (resume == "auto" and holds_checkpoint(run_dir))


def holds_checkpoint(run_dir: Path) -> bool:
    """Whether a directory has a checkpoint, damaged or not."""
    return bool(checkpoints_in(run_dir))


def checkpoints_in(run_dir: Path) -> list[Path]:
    """List the checkpoints of a directory, damaged or not: `latest.pt`, and then the snapshots, the newest first."""
    return [path for path in (run_dir / LATEST, *reversed(snapshots(run_dir))) if path.exists()]


def check_resumption(config: Config) -> None:
    """Refuse a `resume` that names no good checkpoint, before a run is prepared.

    Raises:
        UserError: the file does not exist, or see `load_checkpoint`.
    """
    if config.resume not in ("auto", "none"):
        load_checkpoint(Path(config.resume), torch.device("meta"), checksum=True, task=None)


def find(resume: str, run_dir: Path, device: torch.device) -> Found | None:
    """Load the checkpoint to resume from: the run directory's newest good one (auto), the named file, or none.

    Raises:
        UserError: the named checkpoint, or each checkpoint of the directory, is unusable.
    """
    if not exists(resume, run_dir):
        return None
    if resume != "auto":
        return Path(resume), load_checkpoint(Path(resume), device, checksum=True, task=None)
    return newest_good(run_dir, device)


def newest_good(run_dir: Path, device: torch.device) -> Found:
    """Load the newest undamaged checkpoint of a directory, and print a line for each damaged one.

    `latest.pt` counts as the newest only if its step is later than the newest good snapshot's step: a kill may have
    come between a snapshot and the removal of `latest.pt`.

    Raises:
        UserError: all checkpoints are damaged.
    """
    damaged: list[str] = []
    for path in _newest_first(run_dir, damaged):
        content = _good(path, device, damaged)
        if content is not None:
            if damaged:
                console.print(f"resuming from {path} instead")
            return path, content
    raise UserError(f"no checkpoint in {run_dir} can be used: {damaged[-1]}; resume=none starts over")


def _newest_first(run_dir: Path, damaged: list[str]) -> Iterator[Path]:
    """Yield a directory's checkpoints, the latest step first; at the same step, the snapshot comes first."""
    meta, latest = torch.device("meta"), run_dir / LATEST
    between = _good(latest, meta, damaged) if latest.exists() else None
    for path in reversed(snapshots(run_dir)):
        if between is not None:
            content = _good(path, meta, damaged)
            if content is None:
                continue
            if between["state"].get("step", 0) > content["state"].get("step", 0):
                yield latest
            between = None
        yield path
    if between is not None:
        yield latest


def _good(path: Path, device: torch.device, damaged: list[str]) -> dict[str, Any] | None:
    """Load a checkpoint; if it is damaged, print a line and return None."""
    try:
        return load_checkpoint(path, device, checksum=True, task=None)
    except UserError as error:
        damaged.append(str(error))
        console.print(f"{error}; trying the one before")
        return None


def set_aside(run_dir: Path, begin: Found | None) -> None:
    """Move away the checkpoints and sample grids of an abandoned branch, so that `auto` and reports never find them.

    Args:
        run_dir: the run's directory; if `begin` lies in it, the snapshots that led to `begin` stay.
        begin: the named checkpoint (resume=FILE); None if the run starts from the beginning (resume=none).
    """
    moved = checkpoints_in(run_dir)
    begins_here = [path for path in moved if begin is not None and path.resolve() == begin[0].resolve()]
    led: set[int] = set()  # units of the snapshots on the way to the new branch
    if begin is not None and begins_here:
        led = {units for units, _ in begin[1]["history"]}
        lead_there = {checkpoint_path(run_dir, units) for units in led}
        moved = [path for path in moved if path not in (*lead_there, *begins_here)]
    if not moved:
        return
    folder = next(path for path in _numbered(run_dir / ABANDONED) if not path.exists())
    folder.mkdir()
    grids = [path for path in run_dir.iterdir() if (found := GRID.fullmatch(path.name)) and int(found[1]) not in led]
    for path in (*moved, *grids):
        path.rename(folder / path.name)
    names = ", ".join(path.name for path in moved)
    console.print(f"this run leaves another branch; that branch's checkpoints are in {folder}: {names}")


def _numbered(path: Path) -> Iterator[Path]:
    """Yield `abandoned`, `abandoned-2`, `abandoned-3` ..."""
    yield path
    for number in count(2):
        yield path.with_name(f"{path.name}-{number}")


def drop_latest(run_dir: Path) -> None:
    """Delete `latest.pt` after a newer snapshot."""
    (run_dir / LATEST).unlink(missing_ok=True)


def keep_only(
    run_dir: Path, history: Sequence[tuple[int, float]], last: int | None, best: int, maximised: bool = False
) -> None:
    """Delete the checkpoints of old snapshots, except the last and the best ones.

    Args:
        run_dir: the checkpoints' directory.
        history: units done and objective of all snapshots.
        last: number of newest snapshots to keep; None: all.
        best: number of best snapshots to keep as well.
        maximised: whether a higher objective is better.
    """
    if last is None:
        return
    ranked = sorted(history, key=lambda entry: -entry[1] if maximised else entry[1])
    kept = {checkpoint_path(run_dir, units) for units, _ in [*history[-last:], *ranked[:best]]}
    for path in snapshots(run_dir):
        if path not in kept:
            path.unlink()
