"""Find the run directories of a study whose folder was moved or copied."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from sweeps.points.trial_record import TrialRecord
from sweeps.study.run_folders import OVERRIDES
from sweeps.study.storage import sqlite_file

OWN_PARTS = 2  # last parts of a run directory, such as h-3f2a91c0/0, which no other study has


def found_again(records: Iterable[TrialRecord], url: str) -> list[TrialRecord]:
    """Replace each run directory by the one at the same place under the folder to which it may have moved.

    A directory outside of the SQLite file's folder is the original's where this folder is a copy, so a copy of it comes
    first: a directory with the same overrides. Otherwise, one that exists stays as it is.

    Args:
        records: of a study's trials.
        url: absolute, of its storage. Its folder and the working directory are searched.
    """
    file = sqlite_file(url)
    own = file and file.parent
    return [
        replace(record, run_dir=str(next(_there(Path(record.run_dir), own), record.run_dir)))
        if record.run_dir is not None
        else record
        for record in records
    ]


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path lies in a folder, links followed."""
    return path.resolve().is_relative_to(folder.resolve())


def _there(path: Path, own: Path | None) -> Iterator[Path]:
    """Yield the folders that exist: the run directory itself, and those with its last parts in one of the places."""
    if own is not None and not is_inside(path, own):
        yield from (copy for copy in _alike(path, own) if not path.is_dir() or _overrides(copy) == _overrides(path))
    if path.is_dir():
        yield path
    for place in (Path.cwd(), *([] if own is None else [own])):
        yield from _alike(path, place)


def _overrides(path: Path) -> str | None:
    """Return what ran in a run directory, as Hydra has noted it."""
    try:
        return (path / ".hydra" / OVERRIDES).read_text()
    except OSError:
        return None


def _alike(path: Path, place: Path) -> Iterator[Path]:
    for first in range(1, len(path.parts) - OWN_PARTS + 1):
        if (folder := place.joinpath(*path.parts[first:])).is_dir():
            yield folder
