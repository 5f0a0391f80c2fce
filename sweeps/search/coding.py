"""How a sampler sees an axis, and the space between two points."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeps.points.search_space import AnyAxis, Interval, Value, Values, is_numeric

DIGITS = 6  # significant digits of a number that is drawn


class Coding(NamedTuple):
    """How a sampler sees an axis, and the way from a value of the axis to the sampler's and back."""

    distribution: BaseDistribution
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Value]


def rounded(drawn: float, low: float, high: float) -> float:
    """Round a number to `DIGITS` digits, within its bounds."""
    return min(max(float(f"{drawn:.{DIGITS}g}"), low), high)


def coding_of(axis: AnyAxis) -> Coding:
    """Code an axis: numbers in order as numbers, names as choices."""
    if isinstance(axis, Interval):
        decode = functools.partial(rounded, low=axis.low, high=axis.high)
        if axis.integer:
            return Coding(IntDistribution(int(axis.low), int(axis.high), log=axis.log), int, decode)
        return Coding(FloatDistribution(axis.low, axis.high, log=axis.log), float, decode)
    if not is_numeric(axis.listed):
        return Coding(CategoricalDistribution(axis.listed), str, str)
    ordered = sorted(axis.listed)  # a sampler gets the places of the numbers in order
    return Coding(IntDistribution(0, len(ordered) - 1), ordered.index, ordered.__getitem__)


def place(axes: Sequence[AnyAxis], values: Values) -> list[float]:
    """Place a point in a cube with sides of 1: one side for each axis of numbers, and one for each name."""
    sides: list[float] = []
    for axis in axes:
        coding = coding_of(axis)
        coded = coding.encode(axis.find(values[axis.name]))
        if isinstance(coding.distribution, CategoricalDistribution):
            sides += [float(coded == choice) for choice in coding.distribution.choices]
        else:
            low, high, at = (_scaled(coding, end) for end in (*_ends(coding), coded))
            sides.append((at - low) / (high - low) if high > low else 0.0)
    return sides


def between(axes: Sequence[AnyAxis], start: Values, end: Values, share: float) -> dict[str, Value]:
    """Find the point at a share in [0, 1] of the way from `start` to `end`; it has the names of `start`."""
    found: dict[str, Value] = {}
    for axis in axes:
        coding = coding_of(axis)
        if isinstance(coding.distribution, CategoricalDistribution):
            found[axis.name] = start[axis.name]
            continue
        one, other = (_scaled(coding, coding.encode(axis.find(values[axis.name]))) for values in (start, end))
        at = one + share * (other - one)
        at = math.exp(at) if coding.distribution.log else at  # type: ignore[attr-defined]
        found[axis.name] = coding.decode(round(at) if isinstance(coding.distribution, IntDistribution) else at)
    return found


def _ends(coding: Coding) -> tuple[float, float]:
    assert isinstance(coding.distribution, FloatDistribution | IntDistribution)
    return coding.distribution.low, coding.distribution.high


def _scaled(coding: Coding, coded: float) -> float:
    assert isinstance(coding.distribution, FloatDistribution | IntDistribution)
    return math.log(coded) if coding.distribution.log else float(coded)
