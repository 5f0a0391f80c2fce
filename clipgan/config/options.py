"""The options of the groups: clipgan's and the user's own, and what is said of a name that is none of them."""

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from clipgan.base.installed import conf


def groups() -> list[str]:
    """The groups of the shipped configuration."""
    return sorted(path.name for path in conf().iterdir() if path.is_dir())


def options_of(group: str, folders: Iterable[Path] = ()) -> list[str]:
    """The options of a group.

    Args:
        group: its name.
        folders: the user's own.
    """
    return sorted({path.stem for folder in (conf(), *folders) for path in (folder / group).glob("*.yaml")})


def options_with(key: str) -> list[str]:
    """The shipped options whose files set a key `GROUP.NAME`, which other options of the group may lack."""
    group, _, name = key.partition(".")
    line = re.compile(rf"^{re.escape(name)}:", re.MULTILINE)
    files = {option: conf() / group / f"{option}.yaml" for option in options_of(group)}
    return [option for option, file in files.items() if line.search(file.read_text(encoding="utf-8"))]


def no_such_option(missing: str, options: Collection[str]) -> str:
    """The message for an option that no folder has.

    Args:
        missing: the group and the option, with a slash between.
        options: of the group.
    """
    group, option = _group_and_option(missing, options)
    return f"{group}={option} is not an option{close(option, options)} Options of {group}: {', '.join(options)}"


def close(name: str, known: Iterable[Any]) -> str:
    """End a sentence with a suggestion, if a name is close; the case of its letters does not count."""
    found = nearest(name, known)
    return "." if found is None else f": did you mean {found}?"


def nearest(name: str, known: Iterable[Any]) -> str | None:
    """The known name that is meant most likely, if one is close; see `close`."""
    by_lower = {str(each).lower(): str(each) for each in known}
    begun = [key for key in by_lower if key.startswith(name.lower())]
    found = begun if len(begun) == 1 else get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def _group_and_option(missing: str, options: Collection[str]) -> tuple[str, str]:
    """Split what Hydra looked for into a group and an option, whose name may have slashes: `clip/ViT-B/32`.

    Args:
        missing: both, with a slash between.
        options: of the group.
    """
    group, _, option = missing.rpartition("/")
    for end in range(1, missing.count("/")):
        shorter = "/".join(missing.split("/")[:end])
        shipped = set(options_of(shorter))
        if shipped and shipped <= set(options):
            return shorter, missing.removeprefix(f"{shorter}/")
    return group, option
