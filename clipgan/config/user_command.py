"""Make the commands that a run prints, from the command line that started it: each runs as it is printed."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from clipgan.base.installed import train_command
from clipgan.base.secrets import without_passwords
from clipgan.base.text import shown_path
from clipgan.config.arguments import key_of, quoted
from clipgan.config.identity import is_listed


@dataclass(frozen=True)
class UserCommand:
    """The overrides of a run, as the user has written them; without arguments, those of the shipped configuration."""

    overrides: tuple[str, ...] = ()
    hydra: tuple[str, ...] = ()  # overrides of Hydra's own keys, without the run directory and the mode
    run_dir: Path | None = None  # None: no command has started the run, and no overrides are known
    flags: tuple[str, ...] = ()  # Hydra's, which say where the configuration is

    def here(self) -> "UserCommand":
        """The same command for the terminal: it names the run directory from the working directory on."""
        return self if self.run_dir is None else replace(self, run_dir=shown_path(self.run_dir))

    def again(self) -> str:
        """The command that starts this run as before, in its directory."""
        return self._line([*self.overrides, *self._place()])

    def resumed(self, **changes: str) -> str:
        """The command that continues this run in its directory, with other values of some keys."""
        new = [f"{key}={value}" for key, value in changes.items()]
        return self._line([*self._without("resume", *changes), *new, "resume=auto", *self._place()])

    def sweep(self, *axes: str) -> str:
        """The command of a sweep over axes, such as `h=0.1,0.5,2`, with the other settings of this run."""
        return self._line(["-m", *self._without("resume", *map(key_of, axes)), *axes])

    def other(self, kept: Iterable[str], *more: str) -> str:
        """The command of another run or sweep: the overrides whose key or section is in `kept`, then `more`."""
        same = [line for line in self.overrides if is_listed(key_of(line), kept)]
        return self._line([*more, *same])

    def _without(self, *keys: str) -> list[str]:
        return [line for line in self.overrides if key_of(line) not in keys]

    def _place(self) -> list[str]:
        return [] if self.run_dir is None else [f"hydra.run.dir={quoted(str(self.run_dir))}"]

    def _line(self, arguments: Iterable[str]) -> str:
        return without_passwords(shlex.join([*train_command(), *self.flags, *arguments, *self.hydra]))
