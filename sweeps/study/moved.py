"""Find the run directories of a study whose folder was moved."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from sqlalchemy.engine import make_url

from sweeps.points.trial_record import TrialRecord

OWN_PARTS = 2  # last parts of a run directory, such as h-3f2a91c0/0, which no other study has


def found_again(records: Iterable[TrialRecord], url: str) -> list[TrialRecord]:
    """Replace each run directory that is gone by the one at the same place under a folder to which it may have moved.

    Args:
        records: of a study's trials.
        url: absolute, of its storage. Its folder and the working directory are searched.
    """
    parsed = make_url(url)
    places = [Path.cwd(), *([Path(str(parsed.database)).parent] if parsed.get_backend_name() == "sqlite" else [])]
    return [
        replace(record, run_dir=str(next(_there(record.run_dir, places), record.run_dir)))
        if record.run_dir is not None
        else record
        for record in records
    ]


def _there(run_dir: str, places: Iterable[Path]) -> Iterator[Path]:
    """Yield the folders that exist: the run directory itself, then those with its last parts in one of the places."""
    path = Path(run_dir)
    if path.is_dir():
        yield path
    for first in range(1, len(path.parts) - OWN_PARTS + 1):
        for place in places:
            if (folder := place.joinpath(*path.parts[first:])).is_dir():
                yield folder
