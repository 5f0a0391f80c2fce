"""Turn Hydra overrides into the axes of a search space, and axes into points."""

import functools
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, QuotedString, Transformer

from sweeps.base.errors import SweepError

Value = float | str  # a number, or the name of a choice
Values = Mapping[str, Value]  # axis -> value
Space = dict[str, list[Value]]  # axis -> all values that it has had; an axis is numeric if all values are numbers


@dataclass(frozen=True)
class Choice:
    """One value of an axis: as the study stores it, and as the user spelled it."""

    value: Value
    spelling: str  # the text in the job's override


@dataclass(frozen=True)
class Axis:
    """One swept key or config group with a list of choices."""

    name: str  # the key without `+`
    key: str  # the left side of the job's override
    choices: tuple[Choice, ...]

    @property
    def examples(self) -> list[Value]:
        """Values for a trial composition: all choices."""
        return [choice.value for choice in self.choices]

    def find(self, value: Value) -> Choice | None:
        """Find the choice with this value, which may be a number or its name."""
        return self._by_name.get(name_of(value))

    def override(self, value: Value) -> str:
        """Write the job's override for a choice."""
        choice = self.find(value)
        assert choice is not None, value
        return f"{self.key}={choice.spelling}"

    @functools.cached_property
    def _by_name(self) -> dict[str, Choice]:
        return {name_of(choice.value): choice for choice in self.choices}

    def __str__(self) -> str:
        return f"{self.name}={','.join(choice.spelling for choice in self.choices)}"


@dataclass(frozen=True)
class Interval:
    """One swept key that takes any number between two bounds, both included."""

    name: str
    key: str
    low: float
    high: float
    log: bool  # whether samplers draw evenly in the logarithm
    integer: bool  # whether only whole numbers are allowed

    @property
    def examples(self) -> list[Value]:
        """Values for a trial composition: the bounds."""
        return [self.low, self.high]

    def find(self, value: Value) -> Choice | None:
        """Make the choice with this value; None if the value lies outside the bounds or is a name."""
        if not isinstance(value, float) or not self.low <= value <= self.high:
            return None
        if self.integer and not value.is_integer():
            return None
        return Choice(value, name_of(value))

    def override(self, value: Value) -> str:
        """Write the job's override for a number in the interval."""
        return f"{self.key}={name_of(value)}"

    def __str__(self) -> str:
        text = f"interval({name_of(self.low)},{name_of(self.high)})"
        text = f"int({text})" if self.integer else text
        return f"{self.name}={f'tag(log,{text})' if self.log else text}"


AnyAxis = Axis | Interval


@dataclass(frozen=True)
class Point:
    """One value on each axis."""

    values: Values
    overrides: tuple[str, ...]
    system: Mapping[str, Any] = field(default_factory=dict, compare=False)  # a sampler's own notes

    def __str__(self) -> str:
        return "  ".join(self.overrides) or "(no axis)"


def axes_and_fixed(overrides: Sequence[Override]) -> tuple[list[AnyAxis], list[str]]:
    """Split parsed overrides into the axes of a sweep and the overrides that all its points share.

    If a key has several overrides, the last one counts, whether it sweeps or not. So a command line can replace the
    axes of a config.

    Raises:
        SweepError: an empty interval, an axis without values, or a number that is not finite.
    """
    by_key = {axis_name(override): override for override in overrides}
    axes = [_axis(override) for override in by_key.values() if override.is_sweep_override()]
    fixed = [str(override.input_line) for override in by_key.values() if not override.is_sweep_override()]
    return axes, fixed


def axis_name(override: Override) -> str:
    """Return the key or group that an override sets, without `+`."""
    package = f"@{override.package}" if override.package else ""
    return f"{override.key_or_group}{package}"


def points(axes: Sequence[Axis]) -> list[Point]:
    """Make the product of the axes; the last axis varies fastest. Without axes, there is one empty point."""
    return [
        point_at(axes, {axis.name: choice.value for axis, choice in zip(axes, choices, strict=True)})
        for choices in itertools.product(*(axis.choices for axis in axes))
    ]


def only_choices(axes: Sequence[AnyAxis]) -> list[Axis]:
    """Check and return the axes of a grid.

    Raises:
        SweepError: an axis is an interval.
    """
    for axis in axes:
        if isinstance(axis, Interval):
            raise SweepError(
                f"{axis} is not allowed in a grid: an interval has no points of its own; choose a sampler, as in"
                " hydra/sweeper/study/sampler=tpe, or give the values, as in"
                f" {axis.name}=0.1,0.5,2 or {axis.name}=range(1,4)"
            )
    return [axis for axis in axes if isinstance(axis, Axis)]


def point_at(axes: Sequence[AnyAxis], values: Values, system: Mapping[str, Any] | None = None) -> Point:
    """Make the point with one allowed value on each axis."""
    ordered = {axis.name: values[axis.name] for axis in axes}
    return Point(ordered, tuple(axis.override(values[axis.name]) for axis in axes), system or {})


def fits(axes: Sequence[AnyAxis], values: Values) -> bool:
    """Whether a point has exactly these axes, and an allowed value on each axis."""
    return values.keys() == {axis.name for axis in axes} and all(axis.find(values[axis.name]) for axis in axes)


def space_of(axes: Sequence[AnyAxis]) -> Space:
    """List the values of each axis; an interval has its two bounds."""
    return {axis.name: axis.examples for axis in axes}


def merge(old: Space, new: Space) -> Space:
    """Unite two spaces; an axis with numbers in one space and names in the other gets names."""
    merged: Space = {}
    for name in {**old, **new}:
        values = [*old.get(name, []), *new.get(name, [])]
        if not is_numeric(values):
            values = [name_of(value) for value in values]
        merged[name] = list(dict.fromkeys(values))
    return merged


def conform(values: Values, space: Space) -> dict[str, Value]:
    """Convert a point's values to the types of `space`: on an axis of names, a number becomes its name."""
    return {name: value if is_numeric(space[name]) else name_of(value) for name, value in values.items()}


def is_numeric(values: Sequence[Value]) -> bool:
    """Whether an axis with these values is an axis of numbers."""
    return all(isinstance(value, float) for value in values)


def name_of(value: Value) -> str:
    """Return the name of a choice: both 2 and 2.0 give `2`."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return value


def point_id(values: Values) -> str:
    """Return the same text for equal points: neither axis order nor the spelling of a number as a name matters."""
    return json.dumps({name: name_of(value) for name, value in values.items()}, sort_keys=True)


def point_text(values: Values) -> str:
    """A point in one line."""
    return "  ".join(f"{axis}={name_of(value)}" for axis, value in values.items()) or "(no axis)"


def _axis(override: Override) -> AnyAxis:
    line = override.input_line
    if not override.is_discrete_sweep():
        return _interval(override)
    elements = list(override.sweep_iterator())
    choices = [Choice(_value(element, line), Transformer.str(element)) for element in elements]
    if not choices:
        raise SweepError(f"{line} gives no value: an axis needs at least one")
    if not is_numeric([choice.value for choice in choices]):
        choices = [Choice(name_of(choice.value), choice.spelling) for choice in choices]
    unique = {choice.value: choice for choice in reversed(choices)}  # the first spelling of a value wins
    kept = tuple(choice for choice in choices if unique[choice.value] is choice)
    return Axis(name=axis_name(override), key=override.get_key_element(), choices=kept)


def _interval(override: Override) -> Interval:
    line, interval = override.input_line, override.value()
    assert isinstance(interval, IntervalSweep)
    low, high = interval.start, interval.end
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SweepError(f"{line} is not allowed: the bounds of an interval must be finite and the first be less")
    if other := interval.tags - {"log"}:
        raise SweepError(f"{line} is not allowed: the only tag of an axis is log, not {', '.join(sorted(other))}")
    if interval.tags and low <= 0:
        raise SweepError(f"{line} is not allowed: a logarithmic interval must be above 0")
    return Interval(
        name=axis_name(override),
        key=override.get_key_element(),
        low=float(low),
        high=float(high),
        log="log" in interval.tags,
        integer=isinstance(low, int) and isinstance(high, int),
    )


def _value(element: object, line: str | None) -> Value:
    if isinstance(element, QuotedString):
        return element.text
    if isinstance(element, int | float) and not isinstance(element, bool):
        if not math.isfinite(element):
            raise SweepError(f"{line} is not allowed: the numbers of an axis must be finite, not {element}")
        return float(element) + 0.0  # -0.0 is 0.0
    return str(Transformer.str(element))  # type: ignore[arg-type]
