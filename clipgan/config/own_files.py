"""The user's own configuration files: those that clipgan's hide, and those that cannot be read."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from clipgan.base.errors import UserError
from clipgan.base.installed import conf
from clipgan.base.text import listed, shown_path

SHOWN = 5  # names in a message


def refuse_hidden(folders: Iterable[Path]) -> None:
    """Refuse own files whose names clipgan's files have: Hydra searches clipgan's folder first, and reads only these.

    A copy that differs in comments at most may stay.

    Args:
        folders: those of the user.

    Raises:
        UserError: names the files.
    """
    hidden = []
    for folder in folders:
        for shipped in sorted(conf().rglob("*.yaml")):
            own = folder / shipped.relative_to(conf())
            if own.is_file() and _content(own) != _content(shipped):
                hidden.append(str(own))
    if hidden:
        raise UserError(
            f"{listed(hidden, SHOWN)} would not be read: clipgan's file of the same name comes first;"
            " give each file of yours a name of its own"
        )


def _content(path: Path) -> Any:
    """What Hydra reads in a file, `# @package` and values; the bytes of one that is no YAML."""
    raw = path.read_bytes()
    try:
        text = raw.decode()
        return [line for line in text.splitlines() if line.startswith("# @")], yaml.safe_load(text)
    except (UnicodeDecodeError, yaml.YAMLError):
        return raw


def unreadable(error: Exception, folders: Iterable[Path]) -> str | None:
    """The message for a configuration file that cannot be read, with file and line; None: another error.

    Args:
        error: of PyYAML or Python.
        folders: those of the user.
    """
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{shown_path(Path(mark.name))}, line {mark.line + 1}: this is no YAML ({error.problem})"
    if isinstance(error, yaml.reader.ReaderError):  # a control character
        return f"{shown_path(Path(error.name))}: this is no YAML ({error.reason})"
    if isinstance(error, UnicodeDecodeError):  # its text names no file
        for path in (path for folder in folders for path in sorted(folder.rglob("*.yaml")) if path.is_file()):
            before, found, _ = path.read_bytes().partition(error.object)
            if found:
                line = (before + error.object[: error.start]).count(b"\n") + 1
                return f"{path}, line {line}: this is not encoded in UTF-8 ({error.reason})"
    return None
