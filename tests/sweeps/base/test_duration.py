"""What a duration may look like."""

import pytest

from sweeps.base.duration import seconds_of


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(5400, 5400), (0.5, 0.5), ("30s", 30), ("90m", 5400), ("1h30m", 5400), ("2d", 172_800), ("1.5h", 5400)],
)
def test_a_number_of_seconds_or_parts_with_units(value: object, seconds: float) -> None:
    assert seconds_of(value) == seconds


@pytest.mark.parametrize(
    "value", [0, -1, True, float("inf"), float("nan"), "", "h", "2", "2x", "m5", "30m1h", None, []]
)
def test_anything_else_is_no_duration(value: object) -> None:
    assert seconds_of(value) is None
