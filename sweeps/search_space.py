"""From Hydra overrides to the axes of a grid, and from axes to points."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.types import Override, QuotedString, Transformer

from sweeps.errors import SweepError

Value = float | str  # a number, or the name of a choice
Values = Mapping[str, Value]  # axis -> value
Space = dict[str, list[Value]]  # axis -> every value that it has had; numbers only: a numeric axis


@dataclass(frozen=True)
class Choice:
    """One value of an axis: what it is to the study, and how the user spelled it."""

    value: Value
    spelling: str  # goes into the job's override


@dataclass(frozen=True)
class Axis:
    """One swept key or config group."""

    name: str  # the key without `+`
    key: str  # the left side of the job's override
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Point:
    """One combination of choices."""

    values: Values
    overrides: tuple[str, ...]

    def __str__(self) -> str:
        return "  ".join(self.overrides) or "(no axis)"


def axes_and_fixed(overrides: Sequence[Override]) -> tuple[list[Axis], list[str]]:
    """Split parsed overrides into the axes of a grid and the overrides that all its points share.

    Of several overrides of one key the last one counts, whether it sweeps or not: so a command line replaces the axes
    that a config contributes.

    Raises:
        SweepError: an interval, an axis without values, or a number that is not finite.
    """
    by_key = {axis_name(override): override for override in overrides}
    axes = [_axis(override) for override in by_key.values() if override.is_sweep_override()]
    fixed = [str(override.input_line) for override in by_key.values() if not override.is_sweep_override()]
    return axes, fixed


def axis_name(override: Override) -> str:
    """The key or group that an override sets, without `+`."""
    package = f"@{override.package}" if override.package else ""
    return f"{override.key_or_group}{package}"


def points(axes: Sequence[Axis]) -> list[Point]:
    """The product of the axes, the last one varying fastest; without axes, the one empty point."""
    return [
        Point(
            values={axis.name: choice.value for axis, choice in zip(axes, choices, strict=True)},
            overrides=tuple(f"{axis.key}={choice.spelling}" for axis, choice in zip(axes, choices, strict=True)),
        )
        for choices in itertools.product(*(axis.choices for axis in axes))
    ]


def space_of(axes: Sequence[Axis]) -> Space:
    """The values of each axis."""
    return {axis.name: [choice.value for choice in axis.choices] for axis in axes}


def merge(old: Space, new: Space) -> Space:
    """The union of two spaces; an axis of numbers on one side and names on the other becomes one of names."""
    merged: Space = {}
    for name in {**old, **new}:
        values = [*old.get(name, []), *new.get(name, [])]
        if not is_numeric(values):
            values = [name_of(value) for value in values]
        merged[name] = list(dict.fromkeys(values))
    return merged


def conform(values: Values, space: Space) -> dict[str, Value]:
    """A point's values as `space` has them: numbers become names on an axis of names."""
    return {name: value if is_numeric(space[name]) else name_of(value) for name, value in values.items()}


def is_numeric(values: Sequence[Value]) -> bool:
    """Whether an axis with these values is one of numbers."""
    return all(isinstance(value, float) for value in values)


def name_of(value: Value) -> str:
    """The name of a choice: 2 and 2.0 are both `2`."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return value


def point_id(values: Values) -> str:
    """One text for one point, whatever the order of its axes."""
    return json.dumps(values, sort_keys=True)


def _axis(override: Override) -> Axis:
    line = override.input_line
    if not override.is_discrete_sweep():
        raise SweepError(
            f"{line} is not allowed: an interval has no points of its own, and this sweeper runs grids;"
            f" give the values, as in {axis_name(override)}=0.1,0.5,2 or {axis_name(override)}=range(1,4)"
        )
    elements = list(override.sweep_iterator())
    choices = [Choice(_value(element, line), Transformer.str(element)) for element in elements]
    if not choices:
        raise SweepError(f"{line} gives no value: an axis needs at least one")
    if not is_numeric([choice.value for choice in choices]):
        choices = [Choice(name_of(choice.value), choice.spelling) for choice in choices]
    unique = {choice.value: choice for choice in reversed(choices)}  # the first spelling of a value wins
    kept = tuple(choice for choice in choices if unique[choice.value] is choice)
    return Axis(name=axis_name(override), key=override.get_key_element(), choices=kept)


def _value(element: object, line: str | None) -> Value:
    if isinstance(element, QuotedString):
        return element.text
    if isinstance(element, int | float) and not isinstance(element, bool):
        if not math.isfinite(element):
            raise SweepError(f"{line} is not allowed: the numbers of an axis must be finite, not {element}")
        return float(element) + 0.0  # -0.0 is 0.0
    return str(Transformer.str(element))  # type: ignore[arg-type]
