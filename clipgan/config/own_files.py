"""The user's own configuration files: those that Hydra would not read as they are meant, or cannot read at all."""

import codecs
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from clipgan.base.errors import UserError
from clipgan.base.installed import conf
from clipgan.base.text import listed, shown_path

SHOWN = 5  # names in a message
FURTHER = ("", "hydra/launcher", "hydra/sweeper/study/sampler", "hydra/sweeper/study/pruner")  # places of own files


def refuse_misread(folders: Iterable[Path]) -> None:
    """Refuse own files that Hydra would not read, or not as they are meant.

    Of two files of one name, Hydra reads clipgan's alone; a copy that differs in comments at most may stay. Behind a
    byte order mark, as some editors write it, Hydra does not see the line `# @package`.

    Args:
        folders: those of the user.

    Raises:
        UserError: names the files.
    """
    folders = list(folders)
    _refuse_marked(folders)
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


def _refuse_marked(folders: Iterable[Path]) -> None:
    places = {*FURTHER, *(str(path.relative_to(conf())) for path in conf().rglob("*/"))}
    for path in (path for folder in folders for place in sorted(places) for path in (folder / place).glob("*.yaml")):
        raw = b""
        with suppress(OSError):  # nobody may have chosen it
            raw = path.read_bytes() if path.is_file() else b""
        if raw.startswith(codecs.BOM_UTF8) and b"# @package" in raw:
            raise UserError(
                f"{path} begins with a byte order mark, behind which `# @package` is not seen: save it as UTF-8 without"
                " this mark"
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
