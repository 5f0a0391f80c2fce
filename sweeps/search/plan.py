"""The plan of a command: which tasks (a point with a seed) are due, given the trials that there are."""

import functools
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sweeps.base.settings import MIN_SEEDS
from sweeps.points.ranking import Goal, PointResult, Ranking, aggregate_named, by_point
from sweeps.points.search_space import Point, Value, point_id
from sweeps.points.sequential import next_look
from sweeps.points.trial_record import TrialRecord
from sweeps.search.sampling import SampledPoints


@dataclass(frozen=True)
class Grid:
    """Points that are known beforehand."""

    grid: Sequence[Point]

    @functools.cached_property
    def order(self) -> dict[str, int]:
        """Point -> its place, from 0."""
        return {point_id(point.values): index for index, point in enumerate(self.grid)}

    def accepts(self, values: Mapping[str, Value]) -> bool:
        """Whether the grid has this point."""
        return point_id(values) in self.order

    def points(self, known: Sequence[PointResult]) -> list[Point]:
        """All of them."""
        return list(self.grid)

    def __len__(self) -> int:
        return len(self.grid)


Source = Grid | SampledPoints  # where points come from


def shuffled(grid: Sequence[Point]) -> list[Point]:
    """The points in a random order, always the same for a grid of one size.

    A pruner compares a trial with earlier ones. In a grid's own order these are its neighbours, and if the grid gets
    better towards its end, hardly any trial is pruned.
    """
    order = list(grid)
    random.Random(len(order)).shuffle(order)
    return order


@dataclass(frozen=True)
class Plan:
    """The points and replicas of one command. The study asks it for tasks while it holds its lock."""

    source: Source
    goal: Goal = field(default_factory=Goal)
    seed: int | None = None  # the config's own, to which a replica adds its number; None: one replica
    limit: int | None = None  # with sequential replicas: largest number of trials; None: no limit

    @property
    def replicas(self) -> int:
        """How many seeds each point is run with, or each of the best."""
        return self.goal.replicas or 1

    @property
    def grows(self) -> bool:
        """Whether more tasks may become due as results come in."""
        return isinstance(self.source, SampledPoints) or self.follows_results

    @property
    def follows_results(self) -> bool:
        """Whether the results of trials decide which replicas are due."""
        return self.goal.top is not None or self.goal.error is not None

    def wants(self, record: TrialRecord) -> bool:
        """Whether a trial of the study belongs to this command."""
        return record.replica < self.replicas and self.source.accepts(record.point)

    def more(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The tasks to queue now: due, and not known to the study. They have no number yet.

        Args:
            records: the trial of each task of the study whose result counts.
        """
        accepted = [record for record in records if self.source.accepts(record.point)]
        results = by_point(accepted, aggregate_named(self.goal.aggregate))
        known = {record.task for record in records}
        closed = {point_id(result.point) for result in results if result.is_closed}
        points = [point for point in self.source.points(results) if point_id(point.values) not in closed]
        if self.goal.error is not None:
            return self._sequential(points, results, known)
        top = self.goal.top
        passes = self.replicas if top is None else 1
        tasks = [self._task(point, replica) for replica in range(passes) for point in points]
        if top is not None and all(task.task in known for task in tasks) and not self.pending(records):
            # by their first seed alone, so that later replicas do not change the choice
            first = [record for record in accepted if record.replica == 0]
            best = {point_id(result.point) for result in Ranking(first, replace(self.goal, replicas=1)).points[:top]}
            again = [point for point in points if point_id(point.values) in best]
            tasks = [self._task(point, replica) for replica in range(1, self.replicas) for point in again]
        return [task for task in tasks if task.task not in known]

    def _sequential(
        self, points: Sequence[Point], results: Sequence[PointResult], known: Collection[str]
    ) -> list[TrialRecord]:
        """The first seeds of all points, then those of the points that are not decided; none while one still runs."""
        tasks = [self._task(point, replica) for replica in range(MIN_SEEDS) for point in points]
        if first := [task for task in tasks if task.task not in known]:
            return first
        by_id = {point_id(result.point): result for result in results}
        whole = [point for point in points if not by_id[point_id(point.values)].has_failed]
        seeds, due = self._look([by_id[point_id(point.values)] for point in whole])
        tasks = [self._task(whole[index], replica) for replica in range(seeds) for index in due]
        new = [task for task in tasks if task.task not in known]
        n_known = sum(len(result.replicas) for result in results)
        return [] if self.limit is not None and n_known + len(new) > self.limit else new

    def _look(self, results: Sequence[PointResult]) -> tuple[int, list[int]]:
        """Find the number of seeds that is due, and the positions of the points that must have it: see `next_look`."""
        costs = [[self.goal.sign * value for value in result.in_a_row] for result in results]
        return next_look(costs, self.goal.error or 0.0, self.replicas)

    def why_no_further_seed(self, records: Sequence[TrialRecord]) -> str | None:
        """Say why sequential replicas have come to their end.

        Args:
            records: the trial of each task of the study whose result counts.

        Returns:
            A part of a sentence; None if there is nothing to say, or trials of the plan still wait or run.
        """
        own = [record for record in records if self.source.accepts(record.point)]
        ranking = Ranking(own, self.goal)
        if self.goal.error is None or len(ranking.points) < 2 or any(record.is_open for record in own):
            return None
        if ranking.incomparable:
            return None
        whole = [result for result in ranking.points if not result.is_closed and not result.has_failed]
        undecided = [result for result in whole if result is not ranking.best and ranking.noise(result) is not False]
        if not undecided:
            any_failed = any(record.state == "FAIL" for record in own)
            return "the best point is told from all others" + (" without a failed seed" if any_failed else "")
        if self._look(whole)[1]:
            return f"those of the undecided points do not fit into hydra.sweeper.replicas_trials={self.limit}"
        if all(len(result.complete) >= self.replicas for result in undecided):
            return f"the points within noise of the best have hydra.sweeper.replicas_max={self.replicas} seeds each"
        return (
            f"up to hydra.sweeper.replicas_max={self.replicas} seeds would probably not tell the best point from those"
            " within noise"
        )

    def pending(self, records: Sequence[TrialRecord]) -> bool:
        """Whether more tasks may be due when a trial that waits or runs has ended."""
        running = [record for record in records if record.state in ("RUNNING", "WAITING") and self.wants(record)]
        return self.goal.top is not None and any(record.replica == 0 for record in running)

    def label(self, record: TrialRecord, run: int) -> str:
        """One line for a task, as in `3 of 25  h=0.5  seed=1`."""
        where = f"{run + 1} of {len(self)}"
        if isinstance(self.source, Grid):
            where = f"{self.source.order[point_id(record.point)] + 1} of {len(self.source)}"
        return f"{where}  {record.spelled}"

    def n_open(self, records: Sequence[TrialRecord]) -> int:
        """How many tasks are left to be started, those included that are not due yet."""
        if self.goal.error is not None and not any(self.wants(record) and record.is_open for record in records):
            return len(self.more(records))
        listed = isinstance(self.source, Grid)  # a trial taken over from another study counts as one of its points
        own = [record for record in records if self.wants(record) and (record.origin is None or listed)]
        return len(self) - sum(record.state != "WAITING" for record in own)

    def __len__(self) -> int:
        """How many trials there are when all have ended; with sequential replicas at most."""
        points, top = len(self.source), self.goal.top
        if self.limit is not None:
            return min(self.limit, points * self.replicas)
        return points * self.replicas if top is None else points + min(top, points) * (self.replicas - 1)

    def _task(self, point: Point, replica: int) -> TrialRecord:
        seed = () if self.seed is None or not replica else (f"{self.goal.seed_key}={self.seed + replica}",)
        overrides, system = (*point.overrides, *seed), {} if replica else point.system
        return TrialRecord(
            number=-1,
            state="WAITING",
            point=point.values,
            replica=replica,
            overrides=overrides,
            system=system,
            note=point.note,
            distributions=point.distributions,
        )
