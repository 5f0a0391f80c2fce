"""Read the axes of a sweep from `hydra.sweeper.params` and the command line."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Transformer

from sweeps.base.errors import SweepError
from sweeps.points.layout import Layout, Union
from sweeps.points.search_space import (
    AnyAxis,
    Axis,
    Interval,
    Value,
    axes_and_fixed,
    axis_name,
    is_numeric,
    key_in,
    name_of,
)
from sweeps.study.identity import VARIABLE

FORMS = (
    "values as on the command line, as in 0.1,0.5,2; a list of grids, as in [{h: 0.5, C_it: 1}, {h: [1, 2]}];"
    " or values with a condition, as in {values: [0.1, 0.5], where: loss != lafite}"
)


def read_axes(
    params: Mapping[str, Any],
    arguments: Sequence[str],
    parser: OverridesParser,
    as_axes: Collection[str] = (),
) -> tuple[Layout, list[str]]:
    """Read the axes, and the overrides that all points share, in the order of Hydra's own sweeper.

    Args:
        params: `hydra.sweeper.params`. Values as on the command line make an axis, a list of grids makes a union of
            them, and {values: ..., where: ...} makes an axis that exists only where a condition holds.
        arguments: the overrides of the command line. One for an axis of `params` replaces its values.
        parser: Hydra's.
        as_axes: keys with one value that are axes all the same.

    Raises:
        SweepError: an entry has none of these forms, or an axis stands in two places.
    """
    unions = {name: entry for name, entry in params.items() if _is_union(entry)}
    conditional = {name: entry for name, entry in params.items() if isinstance(entry, Mapping)}
    for name, entry in conditional.items():
        if not {"where"} <= entry.keys() <= {"values", "where"} or not isinstance(entry["where"], str):
            raise SweepError(f"hydra.sweeper.params.{name}={_shown(entry)} is not allowed: it must be {FORMS}")
    lines = []
    for name, entry in params.items():
        if name in conditional and "values" in entry:
            lines.append(_line(name, entry["values"], parser))
        elif name not in unions and name not in conditional:
            lines.append(f"{name}={entry}")
    overrides = parser.parse_overrides([*lines, *arguments])
    if as_axes:
        overrides = parser.parse_overrides([_widened(override, as_axes) for override in overrides])
    _refuse_variables([each.input_line for each in overrides if each.is_sweep_override()])
    axes, fixed = axes_and_fixed(overrides)
    names, given = {axis.name for axis in axes}, {key_in(line) for line in fixed}
    conditions = {name.lstrip("+"): str(entry["where"]) for name, entry in conditional.items()}
    for name in conditions.keys() - names - given:
        raise SweepError(f"hydra.sweeper.params.{name} has a condition and no values; give them, as in {name}=0.1,0.5")
    united = [_union(name, entry, parser) for name, entry in unions.items()]
    for union, own in united:
        for axis in own:
            if axis.name in names:
                raise SweepError(
                    f"{axis.name} is an axis twice, once in hydra.sweeper.params.{union.name}; leave one out"
                )
            names.add(axis.name)
    every = [*(axis for _, own in united for axis in own), *axes]
    kept = {name: text for name, text in conditions.items() if any(axis.name == name for axis in axes)}
    return Layout(every, [union for union, _ in united], kept), fixed


def _refuse_variables(lines: Iterable[str | None]) -> None:
    """Refuse an axis with `${oc.env:NAME}`: results for one content of a variable would count for another."""
    for line in lines:
        if line is not None and (found := VARIABLE.search(line)):
            raise SweepError(
                f"{line} is not allowed: an axis needs the value itself, which the shell fills in where"
                f" {found[0]} is written as ${found[1]} outside of single quotes"
            )


def _widened(override: Override, as_axes: Collection[str]) -> str:
    """Return the text of an override; one value of a key among `as_axes` is written as a choice."""
    text = str(override.input_line)
    if override.is_delete() or override.is_sweep_override() or axis_name(override) not in as_axes:
        return text
    key, _, value = text.partition("=")
    return f"{key}=choice({value})"


def _is_union(entry: Any) -> bool:
    return isinstance(entry, Sequence) and not isinstance(entry, str) and any(isinstance(e, Mapping) for e in entry)


def _union(name: str, entry: Sequence[Any], parser: OverridesParser) -> tuple[Union, list[AnyAxis]]:
    """Read a list of grids: the union, and its axes with the values of all grids."""
    if not all(isinstance(grid, Mapping) for grid in entry):
        raise SweepError(f"hydra.sweeper.params.{name}={_shown(entry)} is not allowed: it must be {FORMS}")
    lines = [[_line(key, values, parser) for key, values in grid.items()] for grid in entry]
    _refuse_variables(line for grid in lines for line in grid)
    grids = [axes_and_fixed(parser.parse_overrides(grid))[0] for grid in lines]
    merged: dict[str, AnyAxis] = {}
    for axis in (axis for grid in grids for axis in grid):
        merged[axis.name] = _merged(name, merged[axis.name], axis) if axis.name in merged else axis

    def values_of(axis: AnyAxis) -> Sequence[Value] | None:
        if isinstance(axis, Interval):
            return None
        return axis.examples if is_numeric(merged[axis.name].examples) else list(map(name_of, axis.examples))

    return Union(name, tuple({axis.name: values_of(axis) for axis in grid} for grid in grids)), list(merged.values())


def _merged(union: str, one: AnyAxis, other: AnyAxis) -> AnyAxis:
    if isinstance(one, Axis) and isinstance(other, Axis):
        numeric, spellings = is_numeric([*one.examples, *other.examples]), dict[Value, str]()
        for value, spelling in (*one.spellings.items(), *other.spellings.items()):
            spellings.setdefault(value if numeric else name_of(value), spelling)
        return replace(one, spellings=spellings)
    if one != other:
        raise SweepError(
            f"hydra.sweeper.params.{union} has {one} and {other}: an interval must be the same in each of its grids"
        )
    return one


def _line(key: str, values: Any, parser: OverridesParser) -> str:
    """Write an axis as on the command line: a list and a single value become choices."""
    if isinstance(values, str) and parser.parse_override(f"{key}={values}").is_sweep_override():
        return f"{key}={values}"
    if isinstance(values, Sequence) and not isinstance(values, str):
        if not values:
            raise SweepError(f"{key}=[] gives no value: an axis needs at least one")
        return f"{key}=choice({','.join(map(Transformer.str, values))})"
    return f"{key}=choice({values if isinstance(values, str) else Transformer.str(values)})"


def _shown(entry: Any) -> str:
    return str(entry).replace("'", "")
