"""The run directories of new trials: of a point that a lost study has run the old one, of all others a new one."""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import count
from pathlib import Path

import yaml

from sweeps.points.trial_record import TrialRecord
from sweeps.study.identity import is_under

OVERRIDES = "overrides.yaml"  # Hydra's file with the overrides of a job


class RunFolders:
    """The numbered directories in a sweep's folder. A deleted or lost study has left some there.

    Args:
        folder: of the sweep.
        output: name of the folder in a run directory that has Hydra's files; None: there is none, and directories are
            taken by number.
        job: makes all overrides of a job from the trial's own.
        ignored: keys that make no other run; each is a key or a section.
    """

    def __init__(
        self, folder: Path, output: str | None, job: Callable[[Sequence[str]], list[str]], ignored: Collection[str]
    ) -> None:
        self._folder, self._output, self._job = folder, output, job
        self._ignored = tuple(ignored)

    def numbers(self, tasks: Sequence[TrialRecord], taken: Collection[int]) -> list[int]:
        """Return the number of the run directory of each task.

        Args:
            tasks: have no trial yet.
            taken: the numbers of the study's trials.
        """
        left = set(self._numbered()) - set(taken) if self._output is not None else set()
        known = {key: number for number in sorted(left, reverse=True) if (key := self._run(number)) is not None}
        free = (number for number in count(max(taken, default=-1) + 1) if number not in left)
        found = (known.pop(self._key(self._job(task.overrides)), None) if known else None for task in tasks)
        return [next(free) if number is None else number for number in found]

    def _numbered(self) -> Iterator[int]:
        try:
            names = [path.name for path in self._folder.iterdir()]
        except OSError:  # another host has the folder
            return iter(())
        return (int(name) for name in names if name.isdecimal() and name == str(int(name)))

    def _run(self, number: int) -> frozenset[str] | None:
        """What ran in a directory; None: unknown."""
        try:
            lines = yaml.safe_load((self._folder / str(number) / str(self._output) / OVERRIDES).read_text())
        except (OSError, ValueError, yaml.YAMLError):
            return None
        return self._key([str(line) for line in lines]) if isinstance(lines, list) else None

    def _key(self, overrides: Sequence[str]) -> frozenset[str]:
        """What tells a job from the others."""
        keys = ((line.partition("=")[0].lstrip("+~"), line) for line in overrides)
        return frozenset(line for key, line in keys if not any(is_under(key, each) for each in self._ignored))
