"""Say in words how the other points of a study compare with the best: by how much, and whether that is noise."""

from collections.abc import Sequence

from sweeps.points.ranking import PointResult, Ranking

SHOWN = 4  # points named in a line


def verdict(ranking: Ranking) -> list[str]:
    """One line for each kind of difference from the best point, the smallest first; none without another point.

    With several objectives, one line counts the points of the Pareto front.
    """
    if len(ranking.goal.names) > 1:
        return [f"{len(ranking.leaders)} of {len(ranking.points)} points are on the Pareto front."]
    others = ranking.points[1:]
    lines = []
    for noise, single, words in (
        (True, True, "no difference is shown, as measuring the same models again varies as much"),
        (True, False, "within noise of it, over the seeds"),
        (None, True, "with one seed it is not known whether noise is the reason"),
        (False, False, "worse by more than noise, over the seeds"),
    ):
        found = [point for point in others if ranking.noise(point) is noise and _is_single(ranking, point) is single]
        if found:
            lines.append(f"{words}: {_listed(ranking, found)}")
    return lines


def _is_single(ranking: Ranking, point: PointResult) -> bool:
    """Whether the point or the best one has a single seed, so that nothing tells what the seed changes."""
    return min(len(point.complete), len(ranking.points[0].complete)) < 2


def _listed(ranking: Ranking, points: Sequence[PointResult]) -> str:
    named = [f"{point} ({_difference(ranking, point)})" for point in points[:SHOWN]]
    more = f" and {len(points) - SHOWN} more" if len(points) > SHOWN else ""
    return ", ".join(named) + more


def _difference(ranking: Ranking, point: PointResult) -> str:
    best, value = ranking.points[0].values[0], point.values[0]
    if value == best:
        return "equal"
    size = f"{abs(value - best) / abs(best):.2%}" if best else f"{abs(value - best):.4g}"
    return f"{size} {'higher' if value > best else 'lower'}"
