"""The further values of a point: those that the user's function `hydra.sweeper.custom_search_space` suggests.

The function is called for each point that is drawn, and again for each point that the study has. So its ranges need not
be stored for a sampler to learn from them, and points that the function would not suggest today are left out.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import BaseTrial, FixedTrial, TrialState, create_trial

from clipgan.base.text import first_line
from sweeps.base.errors import SweepError
from sweeps.points.search_space import (
    AnyAxis,
    Interval,
    Point,
    Value,
    Values,
    is_numeric,
    name_of,
    point_at,
    point_text,
    value_of,
)
from sweeps.search.coding import rounded

Choose = Callable[[str, BaseDistribution], Any]  # gives the value of a name


@dataclass(frozen=True)
class Extended:
    """A point with its further values, and how a sampler sees these."""

    point: Point
    params: Mapping[str, Any]  # name -> the value in Optuna's terms
    distributions: Mapping[str, BaseDistribution]  # name -> the function's own


@dataclass(frozen=True)
class CustomSpace:
    """The user's function, and the axes whose values it may read."""

    path: str  # as the user gave it
    function: Callable[[BaseTrial], object]  # with the app's config
    axes: Sequence[AnyAxis]
    reserved: Mapping[str, str]  # names that it must not suggest, and why

    def drawn(self, values: Values, trial: BaseTrial) -> Extended:
        """Let the sampler of a trial choose the further values of a point.

        Raises:
            SweepError: the function fails, suggests what is not allowed, or answers otherwise when it is asked again.
        """
        extended = self._extended(values, functools.partial(_drawn, trial))
        if self.known(extended.point.values) is None:
            raise self._error(values, "it must suggest the same names and ranges whenever trial.params are the same")
        return extended

    def known(self, values: Values) -> Extended | None:
        """Find the further values among all values of a point; None if the function would not suggest them.

        Raises:
            SweepError: the function fails.
        """
        further = {name: value for name, value in values.items() if name not in self.on_axes(values)}
        try:
            extended = self._extended(values, functools.partial(_found, further))
        except _NotSuggested:
            return None
        return extended if extended.params.keys() == further.keys() else None

    def on_axes(self, values: Values) -> Values:
        """Leave out the further values of a point."""
        return point_at(self.axes, values).values

    def _extended(self, values: Values, choose: Choose) -> Extended:
        own = point_at(self.axes, values)
        seen = {axis.key: _seen(axis, values[axis.name]) for axis in self.axes if axis.name in values}
        trial = _SeenTrial(seen, choose, self.reserved)
        try:
            self.function(trial)
            lines = [_override(key, trial.taken[name]) for name, key in trial.keys.items()]
        except _NotSuggested:
            raise
        except Exception as error:  # the user's own errors
            raise self._error(own.values, f"{type(error).__name__}: {first_line(error)}") from error
        found = {name: _as_stored(value, trial.ranges[name]) for name, value in trial.taken.items()}
        point = replace(
            own,
            values={**own.values, **{name: value for name, (value, _) in found.items()}},
            overrides=(*own.overrides, *lines),
            distributions={name: distribution for name, (_, distribution) in found.items()},
        )
        return Extended(point, trial.taken, trial.ranges)

    def _error(self, values: Values, cause: str) -> SweepError:
        return SweepError(f"hydra.sweeper.custom_search_space={self.path} at {point_text(values)}: {cause}")


class _NotSuggested(Exception):
    """The function would not suggest a value that a point has, or suggests one that it has not."""


class _SeenTrial(FixedTrial):
    """A trial as the function sees it: on the axes it has the values that the job gets, in place of a sampler's codes.

    Args:
        axes: key of an override -> value.
        choose: gives the value for a name that is new.
        reserved: names that must not be suggested, and why.
    """

    def __init__(self, axes: Mapping[str, Any], choose: Choose, reserved: Mapping[str, str]) -> None:
        super().__init__({})
        self._axes, self._choose, self._reserved = axes, choose, reserved
        self.keys: dict[str, str] = {}  # name -> key of its override, which may begin with `+`
        self.taken: dict[str, Any] = {}  # name -> value
        self.ranges: dict[str, BaseDistribution] = {}

    @property
    def params(self) -> dict[str, Any]:
        return {**self._axes, **{key: self.taken[name] for name, key in self.keys.items()}}

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {key: self.ranges[name] for name, key in self.keys.items()}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._take(name, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._take(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._take(name, CategoricalDistribution(choices))

    def _take(self, key: str, distribution: BaseDistribution) -> Any:
        name = key.lstrip("+")
        if name in self._reserved:
            raise ValueError(f"{key} cannot be suggested: {self._reserved[name]}")
        if self.keys.get(name, key) != key:
            raise ValueError(f"{key} cannot be suggested beside {self.keys[name]}: both set one key")
        if name not in self.keys:
            self.taken[name] = self._choose(name, distribution)
            self.keys[name], self.ranges[name] = key, distribution
        return self.taken[name]


def _drawn(trial: BaseTrial, name: str, among: BaseDistribution) -> Any:
    """Let a trial's sampler draw."""
    if isinstance(among, CategoricalDistribution):
        return trial.suggest_categorical(name, among.choices)
    if isinstance(among, IntDistribution):
        return trial.suggest_int(name, among.low, among.high, step=among.step, log=among.log)
    assert isinstance(among, FloatDistribution)
    number = trial.suggest_float(name, among.low, among.high, step=among.step, log=among.log)
    return number if among.step is not None else rounded(number, among.low, among.high)


def _found(further: Values, name: str, among: BaseDistribution) -> Any:
    """Find the value that a point has among those that the function allows."""
    value: Any = further.get(name)
    if value is not None and isinstance(among, CategoricalDistribution):
        value = next((choice for choice in among.choices if _name(choice) == name_of(value)), _NotSuggested)
    elif isinstance(value, float) and isinstance(among, IntDistribution) and value.is_integer():
        value = int(value)
    try:
        create_trial(state=TrialState.WAITING, params={name: value}, distributions={name: among})
    except (ValueError, TypeError) as error:
        raise _NotSuggested from error
    return value


def _as_stored(value: Any, among: BaseDistribution) -> tuple[Value, BaseDistribution]:
    """A value and its distribution as the study has those of axes: numbers, or the names of choices."""
    if not isinstance(among, CategoricalDistribution):
        return value_of(value), among
    values = list(map(_value, among.choices))
    if is_numeric(values):
        return _value(value), FloatDistribution(min(map(float, values)), max(map(float, values)))
    return _name(value), CategoricalDistribution(list(dict.fromkeys(map(name_of, values))))


def _seen(axis: AnyAxis, value: Value) -> Any:
    """A value of an axis as the job gets it."""
    if isinstance(axis, Interval):
        return int(value) if axis.integer else value
    return _parsed(axis.override(value)).value()


def _override(key: str, value: Any) -> str:
    """Write the job's override; a text is quoted if Hydra would read something else.

    Raises:
        ValueError, HydraException: this is no key of an override.
    """
    if _parsed(f"{key}=1").get_key_element() != key or key.startswith("~"):
        raise ValueError(f"{key!r} is no key of an override")
    if not isinstance(value, str):
        return f"{key}={_name(value)}"
    quoted = f"{key}={QuotedString(text=value, quote=Quote.single).with_quotes()}"
    try:
        plain = _parsed(f"{key}={value}")
    except Exception:
        return quoted
    return quoted if plain.is_sweep_override() or plain.value() != value else f"{key}={value}"


def _value(choice: Any) -> Value:
    return choice if isinstance(choice, str) else value_of(choice)


def _name(choice: Any) -> str:
    return name_of(_value(choice))


@functools.lru_cache(maxsize=10_000)
def _parsed(line: str) -> Override:
    return OverridesParser.create().parse_override(line)
