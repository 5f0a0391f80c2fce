"""Read a duration: seconds, or text such as 90m and 1h30m."""

import re

SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
ALLOWED = "seconds, such as 5400, or a time such as 90m, 1h30m, 2d"
_PARTS = re.compile("".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?){unit})?" for unit in SECONDS))


def seconds_of(value: object) -> float | None:
    """Return a duration in seconds, in (0, inf); None if the value is no such duration."""
    if isinstance(value, str):
        parts = _PARTS.fullmatch(value)
        value = parts and sum(float(n) * SECONDS[unit] for unit, n in parts.groupdict().items() if n is not None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        return None
    return float(value)
