"""The commands that are shown to the user: one that continues the sweep, and one that runs a single trial."""

import itertools
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clipgan.base.secrets import without_passwords
from clipgan.base.text import config_flags
from sweeps.points.search_space import AnyAxis, Axis, Value, key_in, name_of, point_id
from sweeps.points.trial_record import TrialRecord

ATTRIBUTE = "command"  # note of the study
ONCE = ("rerun", "retry_failed", "dry_run", "dry_run_overrides")  # settings of one command, not of its repetition


def note(
    fixed: Sequence[str],
    folder: Path,
    best_command: str | None = None,
    has_seed: bool = True,
    wider: Sequence[str] = (),
) -> Mapping[str, Any]:
    """What a study keeps of the command that runs it: the program, and the overrides that all trials share.

    A report shows it, so it has no password.

    Args:
        fixed: these overrides.
        folder: of the sweep, which has the run directories.
        best_command: `hydra.sweeper.best_command`.
        has_seed: whether the app has a key that replicas may vary.
        wider: see `sweep_command`.
    """
    return {
        "sweep": sweep_command(wider),
        "folder": str(folder.absolute()),
        "best": best_command,
        "has_seed": has_seed,
        "program": _program(),
        "flags": config_flags(sys.argv[1:]),
        "fixed": [without_passwords(line) for line in fixed],
    }


def sweep_command(wider: Sequence[str] = ()) -> str:
    """The command of this process, for a shell: it goes on with its sweep, or extends it.

    It lacks the settings that ask for something once: who copies it wants no finished trial again.

    Args:
        wider: overrides that take the place of those of the same keys, from `wider_axes`.
    """
    by_key = {key_in(line): line for line in wider}
    once = {f"hydra.sweeper.{name}" for name in ONCE}
    arguments = [by_key.pop(key_in(word), word) for word in sys.argv[1:] if key_in(word) not in once]
    return _shown(_program(), [*map(without_passwords, [*arguments, *by_key.values()])])


def wider_axes(axes: Sequence[AnyAxis], records: Sequence[TrialRecord]) -> list[str]:
    """The axes with all values of the study, as overrides: only those of which a command gives fewer values.

    There is none if these values make points that neither the study nor the command has, such as those of a sampler.

    Args:
        axes: of the command.
        records: trials of the study.
    """
    lines, values = [], []
    for axis in axes:
        if not isinstance(axis, Axis):
            return []
        known: dict[str, tuple[Value, str]] = {}  # name of a value -> the value, and how a user spelled it
        for record in records:
            own = {key_in(line): line.partition("=")[2] for line in record.overrides}
            if axis.name in record.point and axis.name in own:
                value = record.point[axis.name]
                known.setdefault(name_of(value), (value, own[axis.name]))
        mine = {name_of(value): (value, text) for value, text in axis.spellings.items()}
        if known.keys() - mine.keys():
            lines.append(f"{axis.key}={','.join(text for _, text in (known | mine).values())}")
        values.append([value for value, _ in (known | mine).values()])
    if not lines:  # the usual command: a large grid is not gone through
        return []
    names = [axis.name for axis in axes]
    asked, every = (  # not gone through yet: the values of a sampler would make millions of points
        (point_id(dict(zip(names, point, strict=True))) for point in itertools.product(*each))
        for each in ([axis.spellings for axis in axes if isinstance(axis, Axis)], values)
    )
    there = {*asked, *(point_id(record.point) for record in records)}
    return lines if all(point in there for point in every) else []


def command_of(note: Mapping[str, Any] | None, overrides: Sequence[str]) -> str:
    """A line for a shell that runs one trial alone.

    Args:
        note: the study's, or None of a study that has none.
        overrides: of the trial's point and seed, as the user spelled them.
    """
    known = note or {"program": "train.py", "fixed": []}
    return _shown(known["program"], [*known.get("flags", []), *known["fixed"], *overrides])


def _program() -> str:
    """The program as it is called from here: a file by its path, `-m MODULE`, an installed command by its name."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None:
        return f"-m {spec.name.removesuffix('.__main__')}"
    program = Path(sys.argv[0])
    if program.suffix != ".py":
        return program.name
    inside = program.is_absolute() and program.is_relative_to(Path.cwd())
    return str(program.relative_to(Path.cwd()) if inside else program)


def _shown(program: str, arguments: Sequence[str]) -> str:
    words = program.split() if program.startswith("-m ") else [program]
    return shlex.join([*(["python"] if program.endswith(".py") or words != [program] else []), *words, *arguments])
