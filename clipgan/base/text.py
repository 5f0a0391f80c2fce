"""Parts of messages and of printed commands."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

CONFIG_FLAGS = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")

# C0 and C1 control characters but tab and newline, marks that reorder a line (bidi), and halves of characters
UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or its type's name if the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def why_unreadable(error: Exception) -> str:
    """Return the reason why PyTorch cannot read a file; of a text file, its unpickler raises errors of its own code."""
    said = first_line(error)
    if isinstance(error, EOFError):
        return "it is empty, or its end is missing"
    if "PytorchStreamReader" in said:
        return "it is damaged, or its end is missing"
    other = "_use_new_zipfile_serialization" in said or "legacy .tar format" in said
    if other or isinstance(error, LookupError | AttributeError | UnicodeDecodeError):
        return "it is no file of PyTorch, or one of an old version"
    if "Weights only load failed" in said:  # torch goes on with advice to execute the file
        return "it holds more than tensors and plain data, or none at all; nothing of it is executed"
    return said


def without_addresses(message: str) -> str:
    """Leave out paths and URLs, so that messages about the same fault of two files are equal."""
    return " ".join(word for word in message.split() if "/" not in word)


def shown_path(path: Path) -> Path:
    """Return a path relative to the working directory if it lies inside; else the path itself."""
    try:
        return path.relative_to(Path.cwd())
    except (ValueError, FileNotFoundError):  # outside; or the working directory has been deleted
        return path


def config_flags(arguments: Sequence[str]) -> list[str]:
    """Return Hydra's flags that say where the configuration is, with their values."""
    flags: list[str] = []
    for argument, value in itertools.zip_longest(arguments, arguments[1:]):
        if argument in CONFIG_FLAGS and value is not None:
            flags += [argument, value]
        elif argument.partition("=")[0] in CONFIG_FLAGS and "=" in argument:
            flags.append(argument)
    return flags


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return a number with its unit: `1 image`, `2 images`; `several` is the unit's plural if it is not `one` and s."""
    return f"{number} {one if number == 1 else several or f'{one}s'}"


def listed(items: Sequence[str], most: int, separator: str = ", ") -> str:
    """Join the first items of a list, and say how many more there are: `a, b and 3 more`."""
    return separator.join(items[:most]) + f" and {len(items) - most} more" * (len(items) > most)


def as_typed(value: object) -> str:
    """Write a value as the command line has it: `null`, `true`, `[a,b]`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(as_typed, value))}]"
    return str(value)


def printable(text: str) -> str:
    """Escape what would change a terminal or cannot be printed, such as `\\x1b` (a colour, a title, a lost line)."""
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
