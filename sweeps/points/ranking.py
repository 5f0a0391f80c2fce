"""Rank the points of a study by the aggregate of their replicas: the one meaning of "best".

The table, the report, MLflow's run of the study and `replicas_top` all use this ranking.
"""

import functools
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sweeps.base.errors import SweepError
from sweeps.points.comparable import cautions, why_not
from sweeps.points.metric_names import attribute_names, objective_names
from sweeps.points.search_space import Value, point_id, point_text
from sweeps.points.sequential import differences
from sweeps.points.statistics import (
    ERROR,
    Interval,
    Summary,
    difference,
    sampling_deviation,
    summary,
    within_sampling,
)
from sweeps.points.trial_record import TrialRecord, objective_sds, with_seed_as_replica

Aggregate = Callable[[Sequence[float]], float]
ALLOWED = "mean, median, or a quantile such as q75"


@dataclass(frozen=True)
class Goal:
    """The objectives of a study, and how to compare its points. The study stores it."""

    names: tuple[str, ...] = ("value",)  # names of the objectives
    directions: tuple[str, ...] = ("minimize",)  # minimize | maximize, one for each objective
    aggregate: str = "mean"  # value of a point's replicas: mean | median | a quantile such as q75
    replicas: int | None = 1  # number of seeds that the user asked for, per point; None: the study does not say
    error: float | None = None  # of replicas=auto: probability of a wrong verdict in a study; None: a fixed number
    top: int | None = None  # replicate only this many points: the best by their first seed; None: all
    seed_key: str = "seed"  # an axis of this name gives replicas too
    step_name: str = "step"  # unit of the steps that a job reports, such as kimg

    @property
    def minimizes(self) -> bool:
        """Whether the first objective is to be minimized."""
        return self.directions[0] == "minimize"

    @property
    def sign(self) -> int:
        """What makes a cost of a value of the first objective: 1 if it is to be minimized, else -1."""
        return 1 if self.minimizes else -1

    @property
    def best(self) -> Callable[..., Any]:
        """The function that finds the best value of the first objective, or with `key` what has it: min or max."""
        return min if self.minimizes else max


@dataclass(frozen=True)
class PointResult:
    """The result of a point so far."""

    point: Mapping[str, Value]
    state: str  # PRUNED if a replica is; else RUNNING if one runs or waits; else COMPLETE if one has a value; else FAIL
    values: tuple[float, ...]  # each objective's aggregate over the complete replicas; empty without complete replicas
    replicas: tuple[TrialRecord, ...]  # the newest trial of each replica, in order

    def __str__(self) -> str:
        return point_text(self.point)

    @property
    def is_closed(self) -> bool:
        """Whether the point gets no further replicas: one was pruned, or the point comes from another study."""
        return self.state == "PRUNED" or self.origin is not None

    @property
    def has_failed(self) -> bool:
        """Whether a replica has failed."""
        return any(record.state == "FAIL" for record in self.replicas)

    @property
    def is_partial(self) -> bool:
        """Whether a replica has no value: it failed, was pruned, or has not ended."""
        return len(self.complete) < len(self.replicas)

    @property
    def origin(self) -> str | None:
        """The trial of another study that the point was copied from."""
        return self.replicas[0].origin

    @property
    def by_seed(self) -> dict[int, float]:
        """Map each complete replica to its first objective."""
        return {record.replica: record.value for record in self.complete if record.value is not None}

    @property
    def in_a_row(self) -> list[float]:
        """The first objective of the replicas 0, 1, ... up to the first that is not complete."""
        known = self.by_seed
        return [known[seed] for seed in range(next(n for n in range(len(known) + 1) if n not in known))]

    @property
    def complete(self) -> tuple[TrialRecord, ...]:
        """The complete replicas that have all objectives."""
        return tuple(record for record in self.replicas if record.state == "COMPLETE" and record.values)

    @functools.cached_property
    def summaries(self) -> tuple[Summary, ...]:
        """Mean, deviation and interval of each objective over the complete replicas."""
        return tuple(summary(column) for column in zip(*(record.values for record in self.complete), strict=True))

    @property
    def first(self) -> Summary:
        """The summary of the first objective."""
        return self.summaries[0]


class Ranking:
    """Ranks the points of a study that have a complete replica, the best first.

    A point's rank depends on the aggregate of its first objective over its complete replicas. Points with too few
    replicas come after all points that have as many as the user asked for: a lucky seed must not lead. If no point has
    as many, the points with the most replicas come first. So with replicas=auto, the points that were compared longest
    lead.

    Args:
        records: the newest trial of each task.
        goal: the study's goal.
    """

    def __init__(self, records: Sequence[TrialRecord], goal: Goal) -> None:
        self.goal = replace(goal, names=objective_names(goal.names, records))
        self.attributes = attribute_names(self.goal.names, records)  # of the jobs: short name -> own name
        self.records = [with_seed_as_replica(record, goal.seed_key) for record in records]
        found = [result for result in by_point(self.records, aggregate_named(goal.aggregate)) if result.values]
        most = max((len(result.complete) for result in found), default=0)
        self.asked = most if goal.error is not None else goal.replicas or most
        self.enough = enough = min(self.asked, most)  # complete replicas that a point needs, to be the best
        self.points = sorted(found, key=lambda result: (len(result.complete) < enough, goal.sign * result.values[0]))
        full = [result for result in self.points if len(result.complete) >= enough]
        several = len(goal.directions) > 1
        front = pareto_front([result.values for result in full], goal.directions) if several else range(len(full[:1]))
        self.incomparable = why_not(self.records)  # reasons, for a user
        self.cautions = cautions(self.records)  # likewise, where values may not compare
        # the best point, or the Pareto front; none if the values do not compare
        self.leaders = [] if self.incomparable else [full[index] for index in front]

    @property
    def best(self) -> PointResult | None:
        """The point at the top, by the first objective; None without any, or if the values do not compare."""
        return self.points[0] if self.points and not self.incomparable else None

    @property
    def best_of(self) -> str:
        """Say what the first point is: `best`, or the best of those with enough seeds where another one is better."""
        values = [result.values[0] for result in self.points]
        is_best = self.goal.best(values) == values[0]
        return "best" if is_best else f"best of the points with at least {self.enough} seeds"

    def best_trial(self, result: PointResult) -> TrialRecord:
        """The point's complete trial that is best by the first objective."""
        best: TrialRecord = self.goal.best(result.complete, key=lambda trial: trial.values[0])
        return best

    @property
    def has_replicas(self) -> bool:
        """Whether any point has more than one complete replica."""
        return any(len(result.complete) > 1 for result in self.points)

    def count(self, result: PointResult) -> str:
        """Return a point's number of complete replicas as text, and the requested number if it is larger."""
        n = len(result.complete)
        return f"{n} of {self.asked}" if n < self.asked and self.goal.error is None else str(n)

    def noise(self, result: PointResult) -> bool | None:
        """Whether a point's mean differs from the best one's by noise only; None: unknown, or it is the best point."""
        return self._noise[point_id(result.point)]

    def is_better(self, result: PointResult) -> bool:
        """Whether the mean of a point is better than that of the best point, which has more replicas."""
        return (result.first.mean < self.points[0].first.mean) is self.goal.minimizes

    def difference(self, result: PointResult) -> Interval | None:
        """Return the interval of a point's mean minus the best point's; None: unknown, or the best.

        All intervals of a study hold at once with probability 1 - `error`, although results have decided which point is
        the best, and with replicas=auto which point got how many seeds.
        """
        return self._differences.get(point_id(result.point))

    @property
    def error(self) -> float:
        """Probability that one of the intervals does not hold."""
        return ERROR if self.goal.error is None else self.goal.error

    @functools.cached_property
    def _differences(self) -> dict[str, Interval | None]:
        best = self.points[0]
        if self.goal.error is None:
            compared = [result for result in self.points if len(result.by_seed) > 1]
            values = {point_id(result.point): list(result.by_seed.values()) for result in compared}
            own = values.pop(point_id(best.point), None)
            return {} if own is None else {name: difference(each, own, len(compared)) for name, each in values.items()}
        # points of other studies may have other seeds; one with a failed seed takes no part
        whole = [result for result in self.points if result.origin is None and not result.has_failed]
        if not whole or whole[0] is not best:
            return {}
        sign = self.goal.sign
        found = differences([[sign * value for value in result.in_a_row] for result in whole], 0, self.goal.error)
        return {
            point_id(result.point): ends if ends is None or sign == 1 else (-ends[1], -ends[0])
            for result, ends in zip(whole, found, strict=True)
        }

    @functools.cached_property
    def _noise(self) -> dict[str, bool | None]:
        best, *others = self.points
        found: dict[str, bool | None] = {point_id(best.point): None}
        for other in others:
            noise, ends = None, self.difference(other)
            if ends is not None:
                noise = ends[0] <= 0 <= ends[1]
                if not noise and self.goal.aggregate != "mean" and self.is_better(other):
                    noise = None  # the order contradicts that of the means
            elif min(len(best.complete), len(other.complete)) < 2:
                sampling = sampling_deviation(objective_sds(best.complete), objective_sds(other.complete))
                noise = True if within_sampling(best.first.mean, other.first.mean, sampling) else None
            found[point_id(other.point)] = noise
        return found


def by_point(records: Sequence[TrialRecord], aggregate: Aggregate) -> list[PointResult]:
    """Group the trials by point, in order of first appearance."""
    groups: dict[str, list[TrialRecord]] = {}
    for record in records:
        groups.setdefault(point_id(record.point), []).append(record)
    return [_result(sorted(group, key=lambda record: record.replica), aggregate) for group in groups.values()]


def pareto_front(values: Sequence[Sequence[float]], directions: Sequence[str]) -> list[int]:
    """Find the positions of the rows on the Pareto front: no other row is better in one objective and worse in none."""
    signs = [1 if direction == "minimize" else -1 for direction in directions]
    costs = [tuple(sign * value for sign, value in zip(signs, row, strict=True)) for row in values]
    return [
        index
        for index, cost in enumerate(costs)
        if not any(other != cost and all(a <= b for a, b in zip(other, cost, strict=True)) for other in costs)
    ]


def aggregate_named(name: str) -> Aggregate:
    """Return the function that `hydra.sweeper.aggregate` names.

    Raises:
        SweepError: no function has this name.
    """
    if name == "mean":
        return statistics.fmean
    if name == "median":
        return statistics.median
    quantile = re.fullmatch(r"q(\d{1,2})", name)
    if quantile is None:
        raise SweepError(f"hydra.sweeper.aggregate={name} is not allowed: it must be {ALLOWED}")
    share = int(quantile[1]) / 100
    return lambda values: _quantile(values, share)


def _quantile(values: Sequence[float], share: float) -> float:
    import numpy as np

    return float(np.quantile(values, share))


def _result(group: Sequence[TrialRecord], aggregate: Aggregate) -> PointResult:
    states = {record.state for record in group}
    complete = [record.values for record in group if record.state == "COMPLETE" and record.values]
    if "PRUNED" in states:
        state = "PRUNED"
    elif states & {"RUNNING", "WAITING"}:
        state = "RUNNING"
    else:
        state = "COMPLETE" if complete else "FAIL"
    return PointResult(group[0].point, state, tuple(map(aggregate, zip(*complete, strict=True))), tuple(group))
