"""The table of a study: one row for each point and seed."""

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from sweeps.base.even_choice import evenly
from sweeps.points.numbers import MOST_WHOLE, column, digits
from sweeps.points.ranking import Goal, Ranking
from sweeps.points.search_space import Values, name_of, shown
from sweeps.points.trial_record import TrialRecord

MAX_STEPS = 12  # columns; of more reported steps an even choice is shown, the last one included
UNLIMITED = 100_000  # characters, more than any table is wide


@dataclass(frozen=True)
class StudyTable:
    """The table of a study, and what it leaves out."""

    table: Table
    n_steps: int  # columns of reported steps
    left_out: tuple[str, ...]  # titles of further metrics that have no column


Column = tuple[str, list[str]]  # title, and a cell for each trial


def study_table(ranking: Ranking, console: Console) -> StudyTable:
    """Make the table with as many columns as fit the console: the last metrics are left out first, then steps."""
    records = ranking.records
    begin, further, end = _begin(ranking), _further(ranking), _end(ranking)
    reported = sorted({step for record in records for step in record.steps})

    @functools.cache
    def of_step(step: int) -> Column:
        return f"{ranking.goal.step_name} {step}", column([record.steps.get(step) for record in records])

    n_further, steps = len(further), shown_steps(reported)
    while True:
        columns = [*begin, *map(of_step, steps), *further[:n_further], *end]
        if _width(columns, console) <= console.width or (n_further == 0 and len(steps) <= 1):
            break
        if n_further:
            n_further -= 1
        else:
            steps = shown_steps(reported, len(steps) - 1)
    leaders = {record.number for result in ranking.leaders for record in result.complete}
    styles = ["bold" if record.number in leaders else None for record in records]
    return StudyTable(_table(columns, styles), len(steps), tuple(title for title, _ in further[n_further:]))


def _table(columns: Sequence[Column], styles: Sequence[str | None]) -> Table:
    """Make a table whose rows have these styles."""
    table = Table(box=box.SIMPLE_HEAD)
    for title, _ in columns:
        table.add_column(title, justify="left" if title == "state" else "right", overflow="fold")
    for row, style in enumerate(styles):
        table.add_row(*(cells[row] for _, cells in columns), style=style)
    return table


def _width(columns: Sequence[Column], console: Console) -> int:
    """Measure the width that a table needs, by its widest cells alone: a study may have thousands of trials."""
    widest = [(title, [max(cells, key=cell_len, default="")]) for title, cells in columns]
    return Measurement.get(console, console.options.update(width=UNLIMITED), _table(widest, [None])).maximum


def _begin(ranking: Ranking) -> list[Column]:
    """The columns of the trial and its point."""
    records = ranking.records
    axes = names_in(record.point for record in records)
    points = [point_cells(record.point, axes) for record in records]
    replicas = [str(record.replica) for record in records]
    return [
        ("trial", [str(record.label) for record in records]),
        *((axis, [cells[place] for cells in points]) for place, axis in enumerate(axes)),
        *([("replica", replicas)] if any(record.replica for record in records) else []),
    ]


def _further(ranking: Ranking) -> list[Column]:
    """The columns beside the reported steps: the best of them, and the attributes of the trials."""
    records, goal = ranking.records, ranking.goal
    best = column([best_step_value(record, goal) for record in records])
    return [
        *([(f"{goal.names[0]}_best", best)] if any(record.steps for record in records) else []),
        *(
            (title, column([record.attributes.get(name) for record in records]))
            for name, title in ranking.attributes.items()
        ),
    ]


def _end(ranking: Ranking) -> list[Column]:
    """The columns of what came of the trial."""
    records, names = ranking.records, ranking.goal.names
    values = [record.values or [record.value, *[None] * (len(names) - 1)] for record in records]
    states = [record.state if record.origin is None else f"{record.state} from {record.origin}" for record in records]
    return [*((name, column([row[place] for row in values])) for place, name in enumerate(names)), ("state", states)]


def best_step_value(record: TrialRecord, goal: Goal) -> float | None:
    """The best of a trial's reported values; NaN is none."""
    values = [value for value in record.steps.values() if not math.isnan(value)]
    return goal.best(values) if values else None


def shown_steps(steps: Sequence[int], at_most: int = MAX_STEPS) -> list[int]:
    """At most so many of the steps, evenly chosen between 0 and the last one, which is included."""
    return evenly([0, *steps], at_most + 1)[1:]


def point_cells(point: Values, axes: Sequence[str]) -> list[str]:
    """A point's value on each axis, as text."""
    return [shown(name_of(point[axis])) if axis in point else "-" for axis in axes]


def names_in(mappings: Iterable[Any]) -> list[str]:
    """The keys of all mappings, in order of appearance."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def single(value: float, n: int | None = None) -> str:
    """A number by itself as text: so many digits, by default as `digits` finds, and a whole number as such."""
    if value.is_integer() and abs(value) < MOST_WHOLE:
        return name_of(value)
    return f"{value:.{n or digits([value])}g}"
