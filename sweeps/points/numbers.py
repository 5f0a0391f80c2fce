"""Numbers as text: with so many significant digits that the values of a column can be told apart."""

import math
from collections.abc import Iterable, Sequence

LEAST, MOST = 4, 12  # significant digits
OF_THE_RANGE = 3  # digits that the difference between the smallest and the largest value has at least
OF_HALF = 2  # digits that the smallest difference has which holds half of the values
NO_EXPONENT = 1e9  # smaller values are written without powers of ten
MOST_WHOLE = 1e15  # a larger whole number has digits that a float does not know


def digits(values: Iterable[float | None], least: int = LEAST) -> int:
    """Find the number of significant digits for values that stand beside each other, from `least` to 12.

    All digits before the point count, so that 12345.6 is not 1.235e+04. The half of the values that are closest to each
    other decides, too: a diverged trial does not make the others look equal.
    """
    finite = sorted({value for value in values if value is not None and math.isfinite(value)})
    size = max(map(abs, finite), default=0.0)
    if size < NO_EXPONENT:
        least = max(least, len(f"{size:.0f}"))
    if len(finite) < 2:
        return least
    half = (len(finite) + 1) // 2
    windows = zip(finite, finite[max(half, 2) - 1 :], strict=False)
    closest = min(windows, key=lambda ends: ends[1] - ends[0])
    return max(least, _digits(finite[0], finite[-1], OF_THE_RANGE), _digits(*closest, OF_HALF))


def _digits(low: float, high: float, of_difference: int) -> int:
    """The digits of numbers between two, whose difference has so many; 0: only rounding makes them differ."""
    size, difference = max(abs(low), abs(high)), high - low
    if not (difference < math.inf and math.isfinite(size / difference)):
        return 0
    equal = math.ceil(math.log10(size / difference))  # leading digits that both share
    return 0 if equal >= MOST else min(MOST, equal + of_difference)


def estimate(value: float) -> str:
    """Write an estimate, such as a deviation, with two digits, and all before the point."""
    return f"{value:.0f}" if 100 <= value < NO_EXPONENT else f"{value:.2g}"


def column(values: Sequence[object]) -> list[str]:
    """Write the cells of a column: floats with the same number of digits, or without a point if all are whole."""
    floats = [value for value in values if isinstance(value, float)]
    finite = [value for value in floats if math.isfinite(value)]
    whole = all(value.is_integer() and abs(value) < MOST_WHOLE for value in finite)
    n = digits(floats)
    return [_cell(value, n, whole) for value in values]


def padded(value: float, n: int) -> str:
    """Write a number with `n` significant digits, zeros included."""
    return f"{value:#.{n}g}".removesuffix(".")


def _cell(value: object, n: int, whole: bool) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if whole else padded(value, n)
