"""The meaning of each key. It stands once, as the comment behind the key's field; --help and conf/ take it from there.

The first line of the comment is the meaning. Further lines are details, which the source alone shows.
"""

import ast
import inspect
import io
import tokenize
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints


@cache
def meanings(section: type) -> Mapping[str, str]:
    """Every key of a dataclass and its meaning; keys of the dataclasses that are its fields are dotted.

    Raises:
        KeyError: a field has no comment.
    """
    comments: dict[str, str] = {}
    for each in reversed(section.__mro__):
        if is_dataclass(each):
            comments |= _comments(each)
    types = get_type_hints(section)
    found = {}
    for key in [field.name for field in fields(section)]:
        found[key] = comments[key]
        for inner in _sections(types[key]):
            found |= {f"{key}.{name}": meaning for name, meaning in meanings(inner).items()}
    return found


def section_of(section: type, kind: str) -> str | None:
    """The first key of a dataclass that holds a dataclass of this name."""
    types = get_type_hints(section)
    for field in fields(section):
        for inner in _sections(types[field.name]):
            if inner.__name__ == kind:
                return field.name
            if below := section_of(inner, kind):
                return f"{field.name}.{below}"
    return None


def values_of(section: type, skipped: Collection[str] = ()) -> dict[str, str]:
    """The keys that hold a value, not a section, and their meanings.

    Args:
        section: the dataclass.
        skipped: fields that are left out, with all below them.
    """
    known = meanings(section)
    sections = {key.rpartition(".")[0] for key in known}
    return {key: known[key] for key in known if key.partition(".")[0] not in skipped and key not in sections}


@cache
def booleans(section: type) -> tuple[str, ...]:
    """The keys of a dataclass, and of the dataclasses that are its fields, whose values are true or false."""
    found: list[str] = []
    for name, annotation in get_type_hints(section).items():
        found += [name] * (bool in (annotation, *get_args(annotation)))
        found += [f"{name}.{key}" for inner in _sections(annotation) for key in booleans(inner)]
    return tuple(found)


def defaults(section: type) -> dict[str, str]:
    """The keys of a dataclass with a default that is a plain value, and that default."""
    plain = {field.name: field.default for field in fields(section) if field.default not in (MISSING, None)}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in plain.items()}


def listing(keys: Mapping[str, str], values: Mapping[str, str] | None = None) -> str:
    """A line for each key, as the template of --help takes it: $ is doubled.

    Args:
        keys: their meanings.
        values: their defaults, where these are to be shown.
    """
    width = max(map(len, keys))
    shown = values or {}
    lines = [
        f"{key:<{width}}  {meaning}" + (f" (default {shown[key]})" if key in shown else "")
        for key, meaning in keys.items()
    ]
    return "\n".join(lines).replace("$", "$$")


def _sections(annotation: Any) -> list[type]:
    """The dataclass that a field holds, also where it may be None."""
    inner = [] if get_origin(annotation) is dict else [annotation, *get_args(annotation)]
    return [each for each in inner if isinstance(each, type) and is_dataclass(each)]


def _comments(section: type) -> dict[str, str]:
    """The first line of the comment behind each field that a class itself declares."""
    source = inspect.getsource(section)
    by_line = {
        token.start[0]: token.string.removeprefix("#").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    [declared] = ast.parse(source).body
    assert isinstance(declared, ast.ClassDef)
    found = {}
    for node in declared.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            for comment in [by_line[line] for line in lines if line in by_line][:1]:
                found[node.target.id] = comment
    return found
