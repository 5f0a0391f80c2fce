"""Statistics of replicas."""

import math

import pytest
from scipy.stats import t, ttest_ind

from sweeps.points.statistics import Summary, caution, difference, sampling_deviation, summary, within_sampling


def test_known_values() -> None:
    got = summary([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert (got.mean, got.n) == (5.0, 8)
    assert got.deviation == pytest.approx((32 / 7) ** 0.5)
    assert got.interval is not None
    # Student's interval for comparison: 5 ± 2.365 * 2.138 / sqrt(8) = 3.21, 6.79
    assert got.interval == pytest.approx((3.21, 6.79), abs=0.35)


def test_three_replicas_span_their_own_range() -> None:
    assert summary([1.0, 2.0, 4.0]).interval == (1.0, 4.0)  # the widened level is 1 - 1e-7


def test_one_value_has_no_interval_and_equal_values_a_point() -> None:
    assert summary([3.0]) == Summary(3.0, None, 1, None)
    assert summary([3.0, 3.0]) == Summary(3.0, 0.0, 2, (3.0, 3.0))
    assert str(summary([3.0])) == "3"
    assert str(summary([1.0, 2.0, 4.0])) == "2.333 ± 1.5 [1, 4] n=3"


def test_a_caution_where_replicas_are_few() -> None:
    assert caution([1, 1]) == caution([5, 7]) == caution([]) == ""
    assert caution([1, 7, 2]).startswith("With fewer than 5 replicas an interval covers less than it says")


def test_the_same_values_give_the_same_interval() -> None:
    values = [0.1 * n * n for n in range(12)]
    assert summary(values) == summary(values)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_values_without_statistics_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="a summary needs"):
        summary(values)


def test_a_difference_that_measuring_anew_makes_is_noise_of_single_replicas():
    sampling = sampling_deviation([0.3], [0.4])
    assert sampling == pytest.approx(0.5)
    assert within_sampling(1.0, 1.9, sampling)
    assert not within_sampling(1.0, 2.1, sampling)  # more than that: by the seed or by the point
    assert sampling_deviation([0.3, 0.3, 0.3, 0.3], [0.0]) == pytest.approx(0.15)
    assert not within_sampling(1.0, 1.0, 0.0)  # nothing is told


def test_the_difference_of_two_points_is_welchs_interval():
    """With two points, Tukey's range is Student's t: scipy's own interval."""
    one, best = [1.0, 1.3, 0.9, 1.2], [2.0, 2.9, 2.5, 1.8]
    low, high = ttest_ind(one, best, equal_var=False).confidence_interval(0.95)
    freedom = ttest_ind(one, best, equal_var=False).df
    rounded = math.floor(2 * freedom) / 2  # whole and half degrees
    factor = t.ppf(0.975, rounded) / t.ppf(0.975, freedom)
    middle, reach = (low + high) / 2, (high - low) / 2 * factor
    assert difference(one, best, 2) == pytest.approx((middle - reach, middle + reach), rel=1e-6)
    assert difference([1.0, 1.0], [2.0, 2.0], 2) == pytest.approx((-1.0, -1.0))
    low, high = difference([0.1 + 0.2, 0.1 + 0.2], [0.3, 0.3], 2)  # equal but for rounding
    assert low < 0 < high


def test_a_point_that_varies_more_hides_no_difference_of_others():
    near, far = [1.0, 1.01, 0.99], [1.2, 1.21, 1.19]
    assert difference(far, near, 3)[0] > 0  # whatever the third point does
    assert difference([1.02, 1.0, 1.01], near, 3)[0] < 0
    assert difference(far, near, 300)[0] < difference(far, near, 3)[0]
