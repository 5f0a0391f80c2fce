"""What a study says in the end: its best point, its points with replicas, or its Pareto front."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from sweeps.display.table import axis_names, best, best_line, cell, point_cells, point_text
from sweeps.job.objectives import pareto_front
from sweeps.points.ranking import Aggregate, PointResult, by_point
from sweeps.points.statistics import sampling_deviation, summary, within_noise
from sweeps.points.trial_record import TrialRecord, objective_sds


def verdict(
    records: Sequence[TrialRecord], names: Sequence[str], directions: Sequence[str], aggregate: Aggregate
) -> list[Table | str]:
    """What follows from the trials; nothing where none is complete.

    Args:
        records: the newest trial of each task.
        names: of the objectives.
        directions: minimize | maximize, one for each objective.
        aggregate: what the replicas of a point come to.
    """
    results = [result for result in by_point(records, aggregate) if result.by_seed]
    if len(names) > 1:
        return list(_front([result for result in results if result.values], names, directions))
    if all(len(result.replicas) == 1 for result in results):
        leader = best(records, directions[0])
        return [] if leader is None else [best_line(leader)]
    return _replicated(results, directions[0], aggregate)


def _front(results: Sequence[PointResult], names: Sequence[str], directions: Sequence[str]) -> list[str]:
    chosen = [results[index] for index in pareto_front([result.values for result in results], directions)]
    lines = []
    for result in sorted(chosen, key=lambda result: result.values[0]):
        said = "  ".join(f"{name} {cell(value)}" for name, value in zip(names, result.values, strict=True))
        lines.append(f"  trial {result.replicas[0].number}  {point_text(result.replicas[0])}  {said}")
    return [f"Pareto front: {len(lines)} of {len(results)} points", *lines] if lines else []


def _replicated(results: Sequence[PointResult], direction: str, aggregate: Aggregate) -> list[Table | str]:
    """A row for each point, the best first; only points with the most replicas can be the best."""
    most = max(len(result.by_seed) for result in results)
    sign = 1 if direction == "minimize" else -1
    ordered = sorted(results, key=lambda r: (len(r.by_seed) < most, sign * aggregate(list(r.by_seed.values()))))
    leader = ordered[0]
    table = Table(box=box.SIMPLE_HEAD)
    axes = axis_names(records=[result.replicas[0] for result in results])
    for column in (*axes, "n", "mean", "deviation", "95 % interval", "than the best"):
        table.add_column(column, justify="right", overflow="fold")
    for result in ordered:
        said = summary(list(result.by_seed.values()))
        interval = "-" if said.interval is None else f"{said.interval[0]:.4g} to {said.interval[1]:.4g}"
        numbers = (str(said.n), cell(said.mean), cell(said.deviation), interval, _compared(result, leader))
        table.add_row(*point_cells(result.replicas[0], axes), *numbers, style="bold" if result is leader else None)
    value = aggregate(list(leader.by_seed.values()))
    return [
        table,
        f"best: {point_text(leader.replicas[0])}  {summary(list(leader.by_seed.values()))}  value {cell(value)}",
    ]


def _compared(result: PointResult, leader: PointResult) -> str:
    if result is leader:
        return "-"
    told = [objective_sds(record.attributes for record in each.complete) for each in (result, leader)]
    noise = within_noise(result.by_seed, leader.by_seed, sampling_deviation(*told))
    return "unknown: one seed" if noise is None else "within noise" if noise else "worse"
