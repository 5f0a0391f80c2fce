"""Sequential replicas: when a point gets another seed, and intervals that hold although results have decided this."""

import itertools

import numpy as np
import pytest
from scipy.stats import binom, studentized_range

from bench.sweeping.replicas import race, simulate
from sweeps.points.sequential import differences, next_look

FLAT = [[1.0, 2.0, 1.5], [1.1, 1.9, 1.6]]  # no difference to be seen, with seeds that matter more


def test_all_points_get_the_first_seeds() -> None:
    assert next_look([[], [1.0], [2.0, 2.0, 2.0]], 0.05, 12) == (3, [0, 1, 2])
    assert next_look([[1.0, 2.0, 3.0]], 0.05, 12)[1] == []  # nothing to compare with


def test_a_point_that_is_clearly_worse_gets_no_more_seeds() -> None:
    """The nearer two cannot be told apart yet, and may be with more seeds."""
    costs = [[0.0, 0.3, 0.1, 0.2], [0.3, 0.2, 0.5, 0.4], [50.0, 50.2, 50.1, 50.3]]
    assert next_look([values[:3] for values in costs], 0.05, 12) == (4, [0, 1])
    assert next_look([*costs[:2], costs[2][:3]], 0.05, 12) == (5, [0, 1])
    assert next_look([*(values[:4] for values in costs[:2]), costs[2][:3]], 0.05, 4)[1] == []  # no seeds are left


def test_seeds_that_would_not_decide_are_not_spent() -> None:
    assert next_look(FLAT, 0.05, 4)[1] == []


def test_values_without_noise_decide_at_once() -> None:
    costs = [[2.0] * 3, [1.0] * 3, [1.0] * 3]
    assert next_look(costs, 0.05, 12)[1] == []
    assert differences(costs, 1, 0.05) == [(1.0, 1.0), None, (0.0, 0.0)]


def test_an_interval_is_tukeys() -> None:
    """Against an analysis of variance with all differences of residuals: for two points that of paired differences."""
    values = np.random.default_rng(3).normal(size=(3, 5)) + np.arange(5)
    pairs = [np.var(values[a] - values[b], ddof=1) / 2 for a, b in itertools.combinations(range(3), 2)]
    reach = studentized_range.ppf(0.9, 3, 8) * np.sqrt(np.mean(pairs) / 5)
    best = int(values.mean(axis=1).argmin())
    found = differences(values.tolist(), best, 0.1)
    for point, ends in enumerate(found):
        if point != best:
            gap = values[point].mean() - values[best].mean()
            assert ends == pytest.approx((gap - reach, gap + reach))


def test_a_point_with_fewer_seeds_is_compared_on_its_own() -> None:
    costs = [[1.0, 2.0, 3.5, 9.0], [6.0, 7.0, 8.0], [4.0]]
    low, high = differences(costs, 0, 0.05)[1] or (0.0, 0.0)
    assert (low + high) / 2 == pytest.approx(7.0 - 6.5 / 3)
    assert differences(costs, 0, 0.05)[2] is None


def test_verdicts_and_intervals_hold_in_simulated_sweeps() -> None:
    """Wrong verdicts and missed intervals at most as often as promised, as far as so few sweeps can show."""
    n = 100
    tally = simulate("equal", 2, n, seed=5)
    assert tally.wrong <= binom.ppf(0.9999, n, 0.05)
    assert n - tally.covered <= binom.ppf(0.9999, n, 0.065)
    clear = simulate("clear", 2, 30, seed=5)
    assert clear.told == 30
    assert clear.used < clear.fixed * 0.7


def test_a_race_ends_with_the_first_comparison_if_all_is_clear() -> None:
    values = np.array([[0.0], [100.0]]) + np.random.default_rng(0).normal(size=(2, 12)) * 0.1
    assert [len(own) for own in race(values.tolist(), 0.05)] == [3, 3]
