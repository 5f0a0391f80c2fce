"""Compare points while their replicas come in: which point needs another seed, and how far each is from the best.

This is a group-sequential comparison of all points. After each seed, an analysis of variance by point and seed (the
seeds are the same at all points) gives the standard error of the differences. Tukey's studentized range compares all
points at once, so it does not matter which point turns out best.

- While seeds come in, a point gets no more seeds if it is worse at the level `error / STRICT`: the boundary of
  Haybittle (British Journal of Radiology 44, 1971) and Peto et al. (British Journal of Cancer 34, 1976), 0.001 for an
  `error` of 0.05. So many looks cost next to nothing, and the last comparison keeps the level `error`.
- A point gets no more seeds either if the predictive probability that all its seeds would decide is below `HOPE`
  (Spiegelhalter, Freedman and Blackburn, Controlled Clinical Trials 7, 1986). Such a stop claims nothing.
- At the end, the Tukey-Kramer interval of each difference decides. All intervals of a study hold at once with
  probability 1 - `error`. `python -m bench.sweep replicas` measures this, with all stops.

The values are taken to be normal, with one deviation for all points that are still compared.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

from sweeps.base.settings import MIN_SEEDS
from sweeps.points.statistics import ROUNDING, Interval, critical

STRICT = 50  # a point is dropped at a level so many times smaller than the error of the last comparison
HOPE = 0.2  # smallest probability that all seeds decide, for a point to get another one

Costs = Sequence[Sequence[float]]  # for each point its values by seed, from the first seed on; smaller is better


def next_look(costs: Costs, error: float, most: int) -> tuple[int, list[int]]:
    """Find the seeds that are due, by repeating all comparisons so far.

    Args:
        costs: at least one finite value for each seed that a point has completed.
        error: probability of a wrong statement in a study, in (0, 1).
        most: largest number of seeds of a point.

    Returns:
        Number of seeds, and the positions of the points that must have so many; no positions if nothing is left to
        decide.
    """
    seeds, points = MIN_SEEDS, list(range(len(costs)))
    while points and all(len(costs[point]) >= seeds for point in points):
        block = [costs[point][:seeds] for point in points]
        points = [points[index] for index in _undecided(block, error, most)] if seeds < most else []
        seeds += 1
    return seeds, points


def differences(costs: Costs, best: int, error: float) -> list[Interval | None]:
    """Compute simultaneous intervals of the points' mean costs minus that of the best point.

    Args:
        costs: see `next_look`.
        best: position of the point with the most seeds and the lowest mean.
        error: probability that not all intervals hold.

    Returns:
        Low and high end for each point; None for the best point, and for a point with less than two seeds.
    """
    compared = sum(len(values) >= 2 for values in costs)
    found: list[Interval | None] = []

    @functools.cache
    def reach_of(n: int) -> float:
        """Half an interval of points with so many seeds."""
        beside = [other[:n] for other in costs if len(other) >= n]
        return critical(compared, (len(beside) - 1) * (n - 1), error) * _standard_error(beside)

    for point, values in enumerate(costs):
        n = min(len(values), len(costs[best]))
        if point == best or n < 2:
            found.append(None)
            continue
        reach = reach_of(n)
        mean = math.fsum(one - other for one, other in zip(values[:n], costs[best][:n], strict=True)) / n
        found.append((mean - reach, mean + reach))
    return found


def _undecided(block: Costs, error: float, most: int) -> list[int]:
    """Positions of the points that another seed may tell apart, the best included; none if there is no such point."""
    import numpy as np
    from scipy.stats import norm

    points, n = len(block), len(block[0])
    if points < 2 or n < 2:
        return []
    means = np.asarray(block, float).mean(axis=1)
    best = int(means.argmin())
    gaps, now = means - means[best], _standard_error(block)
    if now <= ROUNDING * float(np.abs(block).max()):
        return []  # without noise, further seeds show nothing new
    worse = gaps > critical(points, (points - 1) * (n - 1), error / STRICT) * now
    last = now * math.sqrt(n / most)  # the standard error with all seeds
    needed = critical(points, (points - 1) * (most - 1), error) * last
    unknown = math.sqrt(now**2 - last**2)  # deviation of the last difference, as seen from here
    hope = norm.cdf((gaps - needed) / unknown) + norm.cdf((-gaps - needed) / unknown)
    open_ones = ~worse & (hope >= HOPE)
    open_ones[best] = False
    return sorted([best, *np.flatnonzero(open_ones).tolist()]) if open_ones.any() else []


def _standard_error(block: Costs) -> float:
    """Compute the standard error of the difference of two points' means, from the two-way analysis of variance.

    Args:
        block: the same number of seeds for each point, at least two of each.
    """
    import numpy as np

    values: Any = np.asarray(block, float)
    points, n = values.shape
    residuals = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    return math.sqrt(float((residuals**2).sum()) / ((points - 1) * (n - 1)) * 2 / n)
