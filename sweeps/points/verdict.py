"""Say in words how the other points of a study compare with the best: by how much, and whether that is noise."""

import math
from collections.abc import Sequence

from clipgan.base.text import listed
from sweeps.points.ranking import PointResult, Ranking

SHOWN = 4  # points named in a line
MIN_SHARE = 0.00005  # of the best value; a smaller difference would be written 0.00%
MAX_SHARE = 10.0  # a larger difference is written as a number
WITHIN_NOISE, WORSE, BETTER, NOT_COMPARED = "within noise", "worse", "better, with fewer seeds", "not compared"
ONE_SEED, WITHIN_DEVIATION = "unknown: one seed", "within noise, one seed"
LINES = {  # how a summary begins its line about such points
    WITHIN_DEVIATION: "no difference is shown, as the deviations that the jobs have told explain as much",
    WITHIN_NOISE: "within noise of it, over the seeds",
    ONE_SEED: "with one seed it is not known whether noise is the reason",
    NOT_COMPARED: "not compared with it, as a seed has failed or was pruned, the point is another study's, or the order"
    " contradicts that of the means",
    BETTER: "better by more than noise, but with fewer seeds than were asked for",
    WORSE: "worse by more than noise, over the seeds",
}


def verdict(ranking: Ranking) -> list[str]:
    """One line for each kind of difference from the best point, the smallest first; none without another point.

    With several objectives, one line counts the points of the Pareto front.
    """
    if len(ranking.goal.names) > 1:
        few = sum(len(point.complete) < ranking.enough for point in ranking.points)
        said = f"{len(ranking.leaders)} of {len(ranking.points)} points are on the Pareto front."
        return [f"{said} {few} with fewer than {ranking.enough} seeds took no part." if few else said]
    others = ranking.points[1:]
    found: dict[str, list[PointResult]] = {call: [] for call in LINES}
    for point in others:
        found[_call(ranking, point)].append(point)
    return [f"{LINES[call]}: {_listed(ranking, points)}" for call, points in found.items() if points]


def compared(ranking: Ranking, point: PointResult) -> str:
    """How a point compares with the best one, in a word or a few, and the interval of their difference."""
    said, ends = _call(ranking, point), ranking.difference(point)
    return said if ends is None else f"{said}: {ends[0]:+.4g} to {ends[1]:+.4g}"


def _call(ranking: Ranking, point: PointResult) -> str:
    noise, best = ranking.noise(point), ranking.points[0]
    single = min(len(point.complete), len(best.complete)) < 2
    if noise is None:
        return ONE_SEED if single else NOT_COMPARED
    if noise:
        return WITHIN_DEVIATION if single else WITHIN_NOISE
    return BETTER if ranking.is_better(point) else WORSE


def _listed(ranking: Ranking, points: Sequence[PointResult]) -> str:
    return listed([f"{point} ({_difference(ranking, point)})" for point in points], SHOWN)


def _difference(ranking: Ranking, point: PointResult) -> str:
    best, value = ranking.points[0].values[0], point.values[0]
    if value == best:
        return "equal"
    share = abs(value - best) / abs(best) if best else math.inf
    size = f"{share:.2%}" if share <= MAX_SHARE else f"{abs(value - best):.4g}"
    return f"{'<0.01%' if share < MIN_SHARE else size} {'higher' if value > best else 'lower'}"
