"""The table of a study: one row for each point and seed."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from sweeps.base.even_choice import evenly
from sweeps.points.ranking import Ranking
from sweeps.points.search_space import Values, name_of
from sweeps.points.trial_record import TrialRecord

MAX_STEPS = 12  # columns; of more reported steps an even choice is shown, the last one included
UNLIMITED = 100_000  # characters, more than any table is wide


@dataclass(frozen=True)
class StudyTable:
    """The table of a study, and what it leaves out."""

    table: Table
    n_steps: int  # columns of reported steps
    left_out: tuple[str, ...]  # titles of further metrics that have no column


def study_table(ranking: Ranking, console: Console) -> StudyTable:
    """Make the table with as many columns as fit the console: the last metrics are left out first, then steps."""
    n_further, n_steps = len(_further(ranking)), MAX_STEPS
    while True:
        made = _with_columns(ranking, n_further, n_steps)
        unlimited = console.options.update(width=UNLIMITED)
        fits = Measurement.get(console, unlimited, made.table).maximum <= console.width
        if fits or n_steps == 1:
            return made
        n_further, n_steps = (n_further - 1, n_steps) if n_further else (0, min(n_steps, made.n_steps) - 1)


def _with_columns(ranking: Ranking, n_further: int, n_steps: int) -> StudyTable:
    """One row for each point and seed: its newest trial, axes, reported steps, further metrics, values, state."""
    records, goal = ranking.records, ranking.goal
    axes = names_in(record.point for record in records)
    replicas = ["replica"] if any(record.replica for record in records) else []
    further = _further(ranking)
    shown = further[:n_further]
    steps = shown_steps(sorted({step for record in records for step in record.steps}), n_steps)
    columns = ["trial", *axes, *replicas, *(f"{goal.step_name} {step}" for step in steps)]
    table = Table(box=box.SIMPLE_HEAD)
    for column in (*columns, *(title for title, _ in shown), *goal.names, "state"):
        table.add_column(column, justify="left" if column == "state" else "right", overflow="fold")
    leaders = {record.number for result in ranking.leaders for record in result.complete}
    for record in records:
        cells = [str(record.label), *point_cells(record.point, axes), *(str(record.replica) for _ in replicas)]
        cells += [cell(record.steps.get(step)) for step in steps]
        cells += [cell(value_of(record)) for _, value_of in shown]
        values: Sequence[float | None] = record.values or [record.value, *[None] * (len(goal.names) - 1)]
        state = record.state if record.origin is None else f"{record.state} from {record.origin}"
        table.add_row(*cells, *map(cell, values), state, style="bold" if record.number in leaders else None)
    return StudyTable(table, len(steps), tuple(title for title, _ in further[n_further:]))


def _further(ranking: Ranking) -> list[tuple[str, Callable[[TrialRecord], Any]]]:
    """Title and value of the columns beside the reported steps: the best of them, and the attributes of the trials."""
    goal = ranking.goal
    found: list[tuple[str, Callable[[TrialRecord], Any]]] = []
    if any(record.steps for record in ranking.records):
        found.append((f"{goal.names[0]}_best", lambda record: best_step_value(record, goal.directions[0])))
    return found + [(title, partial(_attribute, name)) for name, title in ranking.attributes.items()]


def _attribute(name: str, record: TrialRecord) -> Any:
    return record.attributes.get(name)


def best_step_value(record: TrialRecord, direction: str) -> float | None:
    """The best of a trial's reported values; NaN is none."""
    values = [value for value in record.steps.values() if not math.isnan(value)]
    pick = min if direction == "minimize" else max
    return pick(values) if values else None


def shown_steps(steps: Sequence[int], at_most: int = MAX_STEPS) -> list[int]:
    """At most so many of the steps, evenly chosen between 0 and the last one, which is included."""
    return evenly([0, *steps], at_most + 1)[1:]


def point_cells(point: Values, axes: Sequence[str]) -> list[str]:
    """A point's value on each axis, as text."""
    return [name_of(point[axis]) if axis in point else "-" for axis in axes]


def names_in(mappings: Iterable[Any]) -> list[str]:
    """The keys of all mappings, in order of appearance."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def cell(value: Any) -> str:
    """A value as text: six digits, and a whole number as such."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return name_of(value) if value.is_integer() and abs(value) < 1e6 else f"{value:.6g}"
    return str(value)


def interval_text(ends: tuple[float, float], signed: bool = False) -> str:
    """An interval as text, with four digits; of a difference with signs."""
    return " to ".join(f"{end:+.4g}" if signed else f"{end:.4g}" for end in ends)
