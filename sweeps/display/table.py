"""What a sweep says at its end: a table of the whole study, its best trial, its failures."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from sweeps.points.ranking import Aggregate
from sweeps.points.search_space import name_of
from sweeps.points.trial_record import TrialRecord

MAX_STEPS = 12  # columns; of more reported steps an even choice is shown, the last one included
PIPED_WIDTH = 1000  # characters: nothing is wrapped or cut where the output is no terminal


def new_console() -> Console:
    """A console for standard output."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, soft_wrap=True, width=PIPED_WIDTH)
    return console


def study_table(
    records: Sequence[TrialRecord], direction: str, step_name: str = "step", names: Sequence[str] = ("value",)
) -> Table:
    """One row for each point and seed: its newest trial, axes, reported steps, attributes, values, state.

    Args:
        records: the newest trial of each task.
        direction: minimize | maximize, of the first objective.
        step_name: what a reported step counts.
        names: of the objectives.
    """
    axes = axis_names(records)
    replicas = ["replica"] if any(record.replica for record in records) else []
    attributes = _names(record.attributes for record in records)
    steps = shown_steps(sorted({step for record in records for step in record.steps}))
    columns = ["trial", *axes, *replicas, *(f"{step_name} {step}" for step in steps), *(["best"] if steps else [])]
    table = Table(box=box.SIMPLE_HEAD)
    for column in (*columns, *attributes, *names, "state"):
        table.add_column(column, justify="left" if column == "state" else "right", overflow="fold")
    leader = best(records, direction) if len(names) == 1 and not replicas else None
    for record in records:
        cells = [str(record.number), *point_cells(record, axes), *(str(record.replica) for _ in replicas)]
        cells += [cell(record.steps.get(step)) for step in steps]
        cells += [cell(best_step_value(record, direction))] if steps else []
        cells += [cell(record.attributes.get(name)) for name in attributes]
        values: Sequence[float | None] = record.values or [record.value, *[None] * (len(names) - 1)]
        table.add_row(*cells, *map(cell, values), _state(record), style="bold" if record is leader else None)
    return table


def best(records: Sequence[TrialRecord], direction: str) -> TrialRecord | None:
    """The complete trial with the best objective; of equal ones the first."""
    complete = [record for record in records if record.state == "COMPLETE" and record.value is not None]
    sign = 1 if direction == "minimize" else -1
    return min(complete, key=lambda record: sign * record.value, default=None)  # type: ignore[operator]


def best_step_value(record: TrialRecord, direction: str) -> float | None:
    """The best of a trial's reported values; NaN is none."""
    values = [value for value in record.steps.values() if not math.isnan(value)]
    pick = min if direction == "minimize" else max
    return pick(values) if values else None


def shown_steps(steps: Sequence[int]) -> list[int]:
    """At most `MAX_STEPS` of the steps, evenly chosen, the last one included."""
    if len(steps) <= MAX_STEPS:
        return list(steps)
    return [steps[round((index + 1) * len(steps) / MAX_STEPS) - 1] for index in range(MAX_STEPS)]


def print_summary(
    console: Console,
    records: Sequence[TrialRecord],
    *,
    directions: Sequence[str],
    step_name: str,
    study: str,
    n_points: int,
    n_run: int,
    n_superseded: int,
    names: Sequence[str] = ("value",),
    aggregate: Aggregate = fmean,
) -> None:
    """The table and what follows from it.

    Args:
        console: where to print.
        records: the newest trial of each task of the study.
        directions: minimize | maximize, one for each objective.
        step_name: what a reported step counts.
        study: name of the study.
        n_points: points that this invocation was asked for.
        n_run: trials that this invocation has run.
        n_superseded: older trials of the same points, which the table leaves out.
        names: of the objectives.
        aggregate: what the replicas of a point come to.
    """
    from sweeps.display.verdict import verdict

    console.print(f"\nstudy {study}")
    console.print(study_table(records, directions[0], step_name, names), soft_wrap=False)
    for line in (
        *_notes(records, n_superseded),
        *verdict(records, names, directions, aggregate),
        *_failures(records),
        *_unfinished(records),
    ):
        console.print(line, soft_wrap=isinstance(line, str))
    if n_run == 0 and not any(record.state == "WAITING" for record in records):
        console.print(f"0 trials run: all {n_points} points are already in study {study}")


def _notes(records: Sequence[TrialRecord], n_superseded: int) -> list[str]:
    lines = []
    if n_superseded:
        lines.append(f"not shown: {n_superseded} earlier trials of these points (interrupted, orphaned or retried)")
    n_steps = len({step for record in records for step in record.steps})
    if n_steps > MAX_STEPS:
        lines.append(f"{MAX_STEPS} of {n_steps} reported steps are shown")
    return lines


def best_line(leader: TrialRecord) -> str:
    """What is said of the best trial."""
    return f"best: trial {leader.number}  {point_text(leader)}  value {cell(leader.value)}{_where(leader)}"


def _failures(records: Sequence[TrialRecord]) -> list[str]:
    failed = [record for record in records if record.state == "FAIL"]
    lines = [f"failed: trial {r.number}  {point_text(r)}  {r.reason}{_where(r)}" for r in failed]
    if failed:
        lines.append("to run the failed points again, repeat the command with hydra.sweeper.retry_failed=true")
    return lines


def _unfinished(records: Sequence[TrialRecord]) -> list[str]:
    states = Counter(record.state for record in records)
    lines = []
    if states["RUNNING"]:
        lines.append(f"running in another process: {states['RUNNING']}")
    if states["WAITING"]:
        lines.append(f"waiting: {states['WAITING']}, until the command that gave them is run again")
    return lines


def point_text(record: TrialRecord) -> str:
    """A trial's point in one line."""
    return "  ".join(f"{axis}={name_of(value)}" for axis, value in record.point.items()) or "(no axis)"


def _where(record: TrialRecord) -> str:
    if record.run_dir is None:
        return ""
    path = Path(record.run_dir)
    return f"  in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}"


def axis_names(records: Sequence[TrialRecord]) -> list[str]:
    """The axes of all trials, in order of appearance."""
    return _names(record.point for record in records)


def point_cells(record: TrialRecord, axes: Sequence[str]) -> list[str]:
    """A trial's value on each axis, as text."""
    return [name_of(record.point[axis]) if axis in record.point else "-" for axis in axes]


def _state(record: TrialRecord) -> str:
    return record.state if record.origin is None else f"{record.state} from {record.origin}"


def _names(mappings: Any) -> list[str]:
    """The keys of all mappings, in order of appearance."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def cell(value: Any) -> str:
    """A value as text: six digits, and a whole number as such."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return name_of(value) if value.is_integer() and abs(value) < 1e6 else f"{value:.6g}"
    return str(value)
