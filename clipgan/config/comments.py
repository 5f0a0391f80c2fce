"""Writes the comments of conf/*.yaml: what stands behind a key there is its meaning, and comes from its field.

python -m clipgan.config.comments

Every key in an option's file has its meaning there, except the option's own name. In files of several groups, such as
experiments, only the keys that have a comment get it. Comments on lines of their own, such as why a value is what it
is, stay as they are. In conf/metrics/ the command also adds the measures that are new.
"""

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from clipgan.base.installed import conf
from clipgan.config.meanings import meanings
from clipgan.config.measure_registry import Measures
from clipgan.config.training import Config

LINE = re.compile(r"^(?P<indent> *)(?P<key>[\w@/]+):(?P<value>.*?)(?P<comment>\s+#.*)?$")
FOREIGN = ("hydra", "defaults")  # sections of Hydra's own


def main() -> None:
    """Rewrite the files."""
    for path, text in rewritten().items():
        path.write_text(text)
        print(path)


def rewritten() -> dict[Path, str]:
    """The files that differ from what they should be, and what they should be."""
    found = {}
    for path in sorted(conf().rglob("*.yaml")):
        text = path.read_text()
        section = package(path, text)
        if section in FOREIGN:
            continue
        new = with_meanings(text, section, meanings(Config))
        if section == "metrics":
            new = with_measures(new)
        if new != text:
            found[path] = new
    return found


def package(path: Path, text: str) -> str:
    """Where in the configuration a file's keys stand: its group, or the top (``)."""
    group = path.relative_to(conf()).parent.parts
    return "" if not group or "@package _global_" in text else group[0]


def with_meanings(text: str, section: str, known: Mapping[str, str]) -> str:
    """A file with the meaning of each key behind the key.

    Args:
        text: of the file.
        section: where its keys stand; at the top (``), only keys with a comment get their meaning.
        known: dotted keys and their meanings.
    """
    lines: list[str] = []
    above: list[tuple[int, str]] = []  # indentation and name of the keys that the line stands under
    for line in text.splitlines():
        match = LINE.match(line)
        if match is None:
            lines.append(line)
            continue
        indent = len(match["indent"])
        above = [(depth, name) for depth, name in above if depth < indent]
        key = ".".join([*([section] if section else []), *(name for _, name in above), match["key"]])
        above.append((indent, match["key"]))
        commented = key in known and (match["comment"] is not None or section not in ("", key.removesuffix(".name")))
        lines.append(f"{match['indent']}{match['key']}:{match['value']}  # {known[key]}" if commented else line)
    return "\n".join(lines) + "\n"


def with_measures(text: str) -> str:
    """A protocol of `metrics` that says of each measure when it is due; missing ones stand behind the others."""
    names = {each.name: each.default for each in fields(Measures)}
    lines = text.splitlines()
    places = {line.partition(":")[0]: place for place, line in enumerate(lines, 1)}
    end = max((place for name, place in places.items() if name in names), default=len(lines))
    lines[end:end] = [f"{name}: {names[name]}  # {meanings(Measures)[name]}" for name in names if name not in places]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
