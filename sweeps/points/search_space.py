"""Turn Hydra overrides into the axes of a search space, and axes into points."""

import functools
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
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

    name: str  # the key without `+`, unless two axes would have this name
    key: str  # the left side of the job's override
    spellings: Mapping[Value, str]  # the choices: each value as the study has it, and as the user spelled it
    place: int = 0  # number of fixed overrides before it on the command line

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
        return f"{self.name}={','.join(map(shown, self.spellings.values()))}"


@dataclass(frozen=True)
class Interval:
    """One swept key that takes any number between two bounds, both included."""

    name: str
    key: str
    low: float
    high: float
    log: bool  # whether samplers draw evenly in the logarithm
    integer: bool  # whether only whole numbers are allowed
    place: int = 0  # number of fixed overrides before it on the command line

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
    distributions: Mapping[str, Any] = field(default_factory=dict, compare=False)  # Optuna's, of names that are no axis
    note: str | None = field(default=None, compare=False)  # how a sampler came to it, if not in the usual way

    def __str__(self) -> str:
        return "  ".join(map(shown, self.overrides)) or "(no axis)"


def axes_and_fixed(overrides: Sequence[Override]) -> tuple[list[AnyAxis], list[str]]:
    """Split parsed overrides into the axes of a sweep and the overrides that all its points share.

    The order is that of Hydra's own sweeper: a later override replaces an earlier one with the same key and sign, and
    takes its place. So a command line can replace the axes of a config. `n=1`, `+n=1`, `++n=1` and `~n` are different
    overrides, and Hydra applies them one after the other.

    Raises:
        SweepError: an empty interval or an axis without values.
    """
    by_key = {override.get_key_element(): override for override in overrides}
    names = Counter(axis_name(override) for override in by_key.values() if override.is_sweep_override())
    axes: list[AnyAxis] = []
    fixed: list[str] = []
    for key, override in by_key.items():
        if override.is_sweep_override():
            name = axis_name(override)
            axes.append(_axis(override, name if names[name] == 1 else key, len(fixed)))
        else:
            fixed.append(str(override.input_line))
    return axes, fixed


def axis_name(override: Override) -> str:
    """Return the key or group that an override sets, without `+`."""
    return override.get_key_element().lstrip("+~")


def key_in(line: str) -> str:
    """Return the key or group that the text of an override sets, without `+`."""
    return line.partition("=")[0].lstrip("+")


def job_overrides(axes: Sequence[AnyAxis], fixed: Sequence[str], own: Sequence[str]) -> list[str]:
    """All overrides of a job in the order of the command line, in which Hydra applies them.

    Args:
        axes: of this command.
        fixed: the overrides that all its trials share.
        own: the trial's, for its point and its seed; the command that queued the trial may have spelled other keys, as
            in `+h` for `h`. What belongs to no axis comes last.
    """
    left, placed = list(own), []
    for axis in axes:
        same = [line for line in left if line.partition("=")[0] == axis.key]
        alike = [line for line in left if key_in(line) == axis.name]
        for line in (same or alike)[:1]:
            left.remove(line)
            placed.append((axis.place, line))
    keys = {line.partition("=")[0] for line in own}  # of an axis that some points lack: the fixed one is for those
    lines = [(place, line) for place, line in enumerate(fixed, start=1) if line.partition("=")[0] not in keys]
    return [line for _, line in sorted([*lines, *placed], key=lambda pair: pair[0])] + left


def point_at(axes: Sequence[AnyAxis], values: Values) -> Point:
    """Make the point with these allowed values; it may lack axes."""
    own = [axis for axis in axes if axis.name in values]
    ordered = {axis.name: values[axis.name] for axis in own}
    return Point(ordered, tuple(axis.override(values[axis.name]) for axis in own), {})


def space_of(axes: Sequence[AnyAxis]) -> Space:
    """List the values of each axis; an interval has its two bounds."""
    return {axis.name: axis.examples for axis in axes}


def merge(old: Space, new: Space, intervals: Collection[str] = ()) -> Space:
    """Unite two spaces; an axis with numbers in one space and names in the other gets names.

    Args:
        old: a space.
        new: another one.
        intervals: axes that some command has asked for as an interval: with numbers, they keep the two outer bounds.
    """
    merged: Space = {}
    for name in {**old, **new}:
        values = [*old.get(name, []), *new.get(name, [])]
        if not is_numeric(values):
            values = [name_of(value) for value in values]
        elif name in intervals:
            values = [min(values), max(values)]
        merged[name] = list(dict.fromkeys(values))
    return merged


def axis_texts(space: Space, intervals: Collection[str] = ()) -> dict[str, str]:
    """Write the values of each axis for a user: `0.1,0.5`, or `0 to 1` for one of the `intervals`."""
    return {
        name: (" to " if name in intervals and is_numeric(values) else ",").join(map(name_of, values))
        for name, values in space.items()
    }


def conform(values: Values, space: Space) -> dict[str, Value]:
    """Convert a point's values to the types of `space`: on an axis of names, a number becomes its name."""
    return {name: value if is_numeric(space.get(name, ())) else name_of(value) for name, value in values.items()}


def is_numeric(values: Sequence[Value]) -> bool:
    """Whether an axis with these values is an axis of numbers."""
    return all(isinstance(value, float) for value in values)


def name_of(value: Value) -> str:
    """Return the name of a choice: both 2 and 2.0 give `2`."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return value


def value_of(element: object) -> Value:
    """Return a value as the study has it: a number as a float.

    A number that no finite float equals is a name, such as `inf` and 9007199254740993.
    """
    if isinstance(element, QuotedString):
        return element.text
    if isinstance(element, int | float) and not isinstance(element, bool):
        with suppress(OverflowError):
            number = float(element)
            if math.isfinite(number) and number == element:
                return number + 0.0  # -0.0 is 0.0
    return str(Transformer.str(element))  # type: ignore[arg-type]


def point_id(values: Values) -> str:
    """Return the same text for equal points: neither axis order nor the spelling of a number as a name matters."""
    return json.dumps({name: name_of(value) for name, value in values.items()}, sort_keys=True)


def point_text(values: Values) -> str:
    """A point in one line."""
    return "  ".join(f"{axis}={shown(name_of(value))}" for axis, value in values.items()) or "(no axis)"


def shown(text: str) -> str:
    """Write a reference to another key as the user wrote it: Hydra escapes `${key}` on an axis."""
    return re.sub(r"\\(.)", r"\1", text) if "$\\{" in text else text


def _axis(override: Override, name: str, place: int) -> AnyAxis:
    line = override.input_line
    if not override.is_discrete_sweep():
        return _interval(override, name, place)
    elements = list(override.sweep_iterator())
    if not elements:
        raise SweepError(f"{line} gives no value: an axis needs at least one")
    values = _values(elements)
    spellings: dict[Value, str] = {}
    for value, element in zip(values, elements, strict=True):  # the first spelling of a value wins
        spellings.setdefault(value if is_numeric(values) else name_of(value), Transformer.str(element))
    return Axis(name, override.get_key_element(), spellings, place)


def _interval(override: Override, name: str, place: int) -> Interval:
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
        name=name,
        key=override.get_key_element(),
        low=float(low),
        high=float(high),
        log="log" in interval.tags,
        integer=isinstance(low, int) and isinstance(high, int),
        place=place,
    )


def _values(elements: Sequence[object]) -> list[Value]:
    """The values of an axis; a quoted one keeps its quotes as its name where another one is the same without them."""
    bare = {name_of(value_of(element)) for element in elements if not isinstance(element, str | QuotedString)}
    return [
        element.with_quotes() if isinstance(element, QuotedString) and element.text in bare else value_of(element)
        for element in elements
    ]
