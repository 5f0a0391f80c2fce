"""How one trial of a study is run again by itself: the command that is shown for it."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ATTRIBUTE = "command"  # note of the study


def note(fixed: Sequence[str]) -> Mapping[str, Any]:
    """What a study keeps of the command that runs it: the program, and the overrides that all trials share."""
    program = Path(sys.argv[0])
    shown = program.relative_to(Path.cwd()) if program.is_absolute() and program.is_relative_to(Path.cwd()) else program
    return {"program": str(shown), "fixed": list(fixed)}


def command_of(note: Mapping[str, Any] | None, overrides: Sequence[str]) -> str:
    """A line for a shell that runs one trial alone.

    Args:
        note: the study's, or None of a study that has none.
        overrides: of the trial's point and seed, as the user spelled them.
    """
    program, fixed = ("train.py", []) if note is None else (note["program"], note["fixed"])
    return shlex.join(["python", program, *fixed, *overrides])
