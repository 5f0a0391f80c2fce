"""The points of a sweep: their replicas in figures, in the order of their merit."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweeps.points.ranking import aggregate_named
from sweeps.points.search_space import Value, point_id
from sweeps.points.statistics import Summary, sampling_deviation, summary, within_noise
from sweeps.points.trial_record import objective_sds
from sweeps.report.reading import Sweep, Trial, point_text


@dataclass(frozen=True)
class Standing:
    """What the complete trials of one point say."""

    point: Mapping[str, Value]
    trials: tuple[Trial, ...]  # complete, by number
    summaries: tuple[Summary, ...]  # one for each objective
    on_front: bool  # no other point's means are better in all objectives; with one objective: the best
    noise: bool | None  # whether the first objective differs from the best point's by noise only; None: unknown

    def __str__(self) -> str:
        return point_text(self.point)

    @property
    def first(self) -> Summary:
        """Of the first objective."""
        return self.summaries[0]


def results(sweep: Sweep) -> list[Standing]:
    """The points with a complete trial, the best first: by the sweep's aggregate of the first objective."""
    groups: dict[str, list[Trial]] = defaultdict(list)
    for trial in sweep.in_state("COMPLETE"):
        groups[point_id(trial.point)].append(trial)
    sign = 1 if sweep.minimize[0] else -1
    described = [(tuple(trials), _summaries(trials)) for trials in groups.values()]
    aggregate = aggregate_named(sweep.aggregate)
    described.sort(key=lambda item: sign * aggregate([trial.values[0] for trial in item[0]]))
    costs = [_costs(summaries, sweep.minimize) for _, summaries in described]
    return [
        Standing(
            point=trials[0].point,
            trials=trials,
            summaries=summaries,
            on_front=not any(_dominates(other, costs[index]) for other in costs),
            noise=None if index == 0 else _within_noise(described[0][0], trials),
        )
        for index, (trials, summaries) in enumerate(described)
    ]


def has_replicas(points: Sequence[Standing]) -> bool:
    """Whether anything is known of what a seed does."""
    return any(result.first.n > 1 for result in points)


def _within_noise(one: Sequence[Trial], other: Sequence[Trial]) -> bool | None:
    told = [objective_sds(trial.attributes for trial in trials) for trials in (one, other)]
    return within_noise(_by_replica(one), _by_replica(other), sampling_deviation(*told))


def _summaries(trials: Sequence[Trial]) -> tuple[Summary, ...]:
    return tuple(summary(values) for values in zip(*(trial.values for trial in trials), strict=True))


def _costs(summaries: Sequence[Summary], minimize: Sequence[bool]) -> list[float]:
    return [s.mean if least else -s.mean for s, least in zip(summaries, minimize, strict=True)]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _by_replica(trials: Sequence[Trial]) -> dict[int, float]:
    return {trial.replica: trial.values[0] for trial in trials}
