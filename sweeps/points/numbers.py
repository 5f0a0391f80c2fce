"""Numbers as text: so many significant digits that values which differ look different beside each other."""

import math
from collections.abc import Iterable, Sequence

LEAST, MOST = 4, 12  # significant digits
OF_THE_RANGE = 3  # digits that the difference between the smallest and the largest value has at least
NO_EXPONENT = 1e9  # smaller values are written without powers of ten
MOST_WHOLE = 1e15  # a larger whole number has digits that a float does not know


def digits(values: Iterable[float | None], least: int = LEAST) -> int:
    """Find the number of significant digits for values that stand beside each other, from `least` to 12.

    All digits before the point count, so that 12345.6 is not 1.235e+04. A difference that 12 digits do not show is one
    of rounding, and does not count.
    """
    finite = [value for value in values if value is not None and math.isfinite(value)]
    size = max(map(abs, finite), default=0.0)
    if size < NO_EXPONENT:
        least = max(least, len(f"{size:.0f}"))
    spread = max(finite, default=0.0) - min(finite, default=0.0)
    if not (0 < spread < math.inf and math.isfinite(size / spread)):
        return least
    equal = math.ceil(math.log10(size / spread))  # leading digits that the values share
    return least if equal >= MOST else min(MOST, max(least, equal + OF_THE_RANGE))


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
