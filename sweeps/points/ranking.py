"""Seeds as replicas: which seeds a point is run with, and what its replicas come to."""

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sweeps.base.errors import SweepError
from sweeps.points.search_space import Value, point_id
from sweeps.points.trial_record import TrialRecord

Aggregate = Callable[[Sequence[float]], float]
ALLOWED = "mean, median, or a quantile such as q75"


@dataclass(frozen=True)
class Seeds:
    """How a replica gets its seed: replica r of a point has the config's own seed plus r."""

    key: str  # dotted
    base: int  # the config's value of it

    def override(self, replica: int) -> tuple[str, ...]:
        """What a replica's job is handed; replica 0 is the point as it is."""
        return (f"{self.key}={self.base + replica}",) if replica else ()


@dataclass(frozen=True)
class PointResult:
    """What is known of a point."""

    point: Mapping[str, Value]
    state: str  # PRUNED if a replica is, else RUNNING if one runs or waits, else COMPLETE if one is, else FAIL
    values: tuple[float, ...]  # of a complete point, each objective's aggregate over the complete replicas
    replicas: tuple[TrialRecord, ...]  # by replica, the newest trial of each

    @property
    def is_closed(self) -> bool:
        """Whether it gets no further replicas: one was pruned, or the point was taken over from another study."""
        return self.state == "PRUNED" or self.origin is not None

    @property
    def origin(self) -> str | None:
        """The trial of another study that it was taken over from."""
        return self.replicas[0].origin

    @property
    def by_seed(self) -> dict[int, float]:
        """Replica -> its first objective, of the complete ones."""
        return {record.replica: record.value for record in self.complete if record.value is not None}

    @property
    def complete(self) -> tuple[TrialRecord, ...]:
        """The replicas that have ended with their objectives."""
        return tuple(record for record in self.replicas if record.state == "COMPLETE")


def by_point(records: Sequence[TrialRecord], aggregate: Aggregate) -> list[PointResult]:
    """Gather the trials of each point, in order of first appearance."""
    groups: dict[str, list[TrialRecord]] = {}
    for record in records:
        groups.setdefault(point_id(record.point), []).append(record)
    return [_result(sorted(group, key=lambda record: record.replica), aggregate) for group in groups.values()]


def best_points(results: Sequence[PointResult], direction: str, n: int) -> list[PointResult]:
    """The `n` best points by replica 0 alone, so that later replicas do not change the choice."""
    first = [result for result in results if 0 in result.by_seed]
    return sorted(first, key=lambda result: result.by_seed[0], reverse=direction == "maximize")[:n]


def aggregate_named(name: str) -> Aggregate:
    """The function that `hydra.sweeper.aggregate` names.

    Raises:
        SweepError: there is none of that name.
    """
    if name == "mean":
        return statistics.fmean
    if name == "median":
        return statistics.median
    quantile = re.fullmatch(r"q(\d{1,2})", name)
    if quantile is None:
        raise SweepError(f"hydra.sweeper.aggregate={name} is not allowed: it must be {ALLOWED}")
    share = int(quantile[1]) / 100
    return lambda values: _quantile(sorted(values), share)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Linear between the two neighbours, as NumPy's default."""
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def _result(group: Sequence[TrialRecord], aggregate: Aggregate) -> PointResult:
    states = {record.state for record in group}
    complete = [record.values for record in group if record.state == "COMPLETE"]
    if "PRUNED" in states:
        state = "PRUNED"
    elif states & {"RUNNING", "WAITING"}:
        state = "RUNNING"
    else:
        state = "COMPLETE" if complete else "FAIL"
    values = tuple(aggregate(column) for column in zip(*complete, strict=True)) if state == "COMPLETE" else ()
    return PointResult(group[0].point, state, values, tuple(group))
