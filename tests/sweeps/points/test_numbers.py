"""Numbers beside each other, as text."""

import math

from sweeps.display.table import single
from sweeps.points.numbers import column, digits, estimate
from sweeps.points.statistics import summary


def test_values_that_differ_look_different() -> None:
    assert column([0.9999 + 1e-5 * step for step in (1, 2, 3)]) == ["0.99991000", "0.99992000", "0.99993000"]
    assert column([1e6 + step for step in (1.0, 2.0)]) == ["1000001", "1000002"]
    assert len(set(column([1e6 + 0.25 * step for step in range(9)]))) == 9


def test_an_outlier_does_not_make_others_look_equal() -> None:
    assert column([12.3412, 12.3389, 310.2]) == ["12.3412", "12.3389", "310.200"]
    assert len(set(column([0.30694, 0.30691, 1.585]))) == 3
    assert column([0.3, 0.5, 1.585, 1.585, 1.585]) == ["0.3000", "0.5000", "1.585", "1.585", "1.585"]


def test_a_number_by_itself_has_all_digits_before_the_point() -> None:
    assert [single(value) for value in (12345.6, 0.123456, 3.0, 1e6, 0.5)] == ["12346", "0.1235", "3", "1000000", "0.5"]
    assert str(summary([12345.6])) == "12346"


def test_an_estimate_has_two_digits_and_all_before_the_point() -> None:
    assert [estimate(value) for value in (0.0123, 5.18, 99.4, 110.6, 0.0)] == ["0.012", "5.2", "99", "111", "0"]


def test_a_column_has_one_number_of_digits() -> None:
    assert column([2.99966, 3.5, 1.987, None, "a"]) == ["3.000", "3.500", "1.987", "-", "a"]
    assert column([12.0, 3.0]) == ["12", "3"]
    assert column([1e-9, 2.0, math.inf, math.nan]) == ["1.000e-09", "2.000", "inf", "nan"]
    assert column([12345.6, 1.5]) == ["12346", "1.5000"]


def test_equal_single_and_no_values_have_the_least_digits() -> None:
    assert (digits([1e6, 1e6]), digits([0.5], least=6), digits([]), digits([math.nan, None])) == (7, 6, 4, 4)
    assert digits([5e-324, 1e308]) == digits([-1.5e308, 1.5e308]) == digits([1e-300, 1.5e-300]) == 4
    assert (digits([1.0, 1.0 + 2**-52]), digits([1.0, 1.0 + 1e-10])) == (4, 12)  # rounding, a difference
