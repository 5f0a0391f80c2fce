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
MAX_LISTED = 100_000  # points; a space with more is not listed
Space = dict[str, list[Value]]  # axis -> every value that it has had; an axis is numeric if all are numbers


@dataclass(frozen=True)
class Axis:
    """One swept key or config group with a list of choices."""

    name: str  # the key without `+`
    key: str  # the left side of the job's override
    spellings: Mapping[Value, str]  # the choices: each value as the study has it, and as the user spelled it

    @property
    def examples(self) -> list[Value]:
        """Values to try the axis with: all of them."""
        return list(self.spellings)

    listed = examples

    def find(self, value: Value) -> Value | None:
        """The choice with this value, which may be given as a number or as its name."""
        return self._by_name.get(name_of(value))

    def override(self, value: Value) -> str:
        """The job's override for one of the choices."""
        return f"{self.key}={self.spellings[self._by_name[name_of(value)]]}"

    @functools.cached_property
    def _by_name(self) -> dict[str, Value]:
        return {name_of(value): value for value in self.spellings}

    def __str__(self) -> str:
        return f"{self.name}={','.join(self.spellings.values())}"


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

    @property
    def listed(self) -> list[Value] | None:
        """All of its values; None for real numbers and for too many whole ones."""
        if not self.integer or self.high - self.low >= MAX_LISTED:
            return None
        return list(map(float, range(int(self.low), int(self.high) + 1)))

    def find(self, value: Value) -> Value | None:
        """The value itself; None for one outside the bounds, and for a name."""
        allowed = isinstance(value, float) and self.low <= value <= self.high
        return value if allowed and (not self.integer or float(value).is_integer()) else None

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
    note: str | None = field(default=None, compare=False)  # how a sampler came to it, if not in the usual way

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


def points(axes: Sequence[AnyAxis]) -> list[Point]:
    """The product of the axes' lists, the last one varying fastest; without axes, the one empty point."""
    names = [axis.name for axis in axes]
    every = itertools.product(*(axis.listed or () for axis in axes))
    return [point_at(axes, dict(zip(names, values, strict=True))) for values in every]


def point_at(axes: Sequence[AnyAxis], values: Values, system: Mapping[str, Any] | None = None) -> Point:
    """Make the point with one allowed value on each axis."""
    ordered = {axis.name: values[axis.name] for axis in axes}
    return Point(ordered, tuple(axis.override(values[axis.name]) for axis in axes), system or {})


def fits(axes: Sequence[AnyAxis], values: Values) -> bool:
    """Whether a point has these axes and an allowed value on each."""
    found = [axis.find(values[axis.name]) for axis in axes if axis.name in values]
    return len(values) == len(axes) == len(found) and None not in found


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
    if not elements:
        raise SweepError(f"{line} gives no value: an axis needs at least one")
    values = [_value(element, line) for element in elements]
    spellings: dict[Value, str] = {}
    for value, element in zip(values, elements, strict=True):  # the first spelling of a value wins
        spellings.setdefault(value if is_numeric(values) else name_of(value), Transformer.str(element))
    return Axis(axis_name(override), override.get_key_element(), spellings)


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
