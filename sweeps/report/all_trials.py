"""All trials of a study for other tools: one row for each trial, earlier attempts included, as CSV or Parquet."""

import csv
import io
from datetime import datetime
from pathlib import Path
from typing import Any

from clipgan.base.durable_files import replacing
from clipgan.base.text import first_line
from sweeps.base.errors import SweepError
from sweeps.points.search_space import name_of
from sweeps.points.trial_record import TrialRecord
from sweeps.report.reading import Sweep

Columns = dict[str, list[Any]]


def trial_columns(sweep: Sweep) -> Columns:
    """The values of all trials, sorted by number, in columns of equal length.

    Columns: trial (its number), state, the axes, replica, the objectives, the jobs' other metrics, the reported
    objective at each step (`kimg 2`), seconds, started, ended (datetime, the clock of the host that ran it), reason,
    run_dir, command. An unknown value is None. A name that is there already gets a number: `state 2`.
    """
    trials = sorted((*sweep.trials, *sweep.superseded), key=lambda trial: trial.number)
    columns: Columns = {}

    def add(name: str, values: list[Any]) -> None:
        number = 2
        unique = name
        while unique in columns:
            unique, number = f"{name} {number}", number + 1
        columns[unique] = values

    add("trial", [trial.label for trial in trials])
    add("state", [trial.state for trial in trials])
    for axis in sweep.axes:
        add(axis, [trial.point.get(axis) for trial in trials])
    add("replica", [trial.replica for trial in trials])
    for place, name in enumerate(sweep.goal.names):
        add(name, [_objective(trial, place) for trial in trials])
    for attribute, name in sweep.ranking.attributes.items():
        add(name, [trial.attributes.get(attribute) for trial in trials])
    for step in sorted({step for trial in trials for step in trial.steps}):
        add(f"{sweep.goal.step_name} {step}", [trial.steps.get(step) for trial in trials])
    for name in ("seconds", "started", "ended", "reason", "run_dir"):
        add(name, [getattr(trial, name) for trial in trials])
    add("command", [sweep.command(trial) for trial in trials])
    return columns


def trials_csv(sweep: Sweep) -> str:
    """The text of a CSV file: see `trial_columns`; times in ISO 8601, an unknown value is an empty cell."""
    columns = trial_columns(sweep)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    axes = set(sweep.axes)
    cells = [[_cell(value, name in axes) for value in values] for name, values in columns.items()]
    writer.writerows(zip(*cells, strict=True))
    return text.getvalue()


def write_parquet(sweep: Sweep, path: Path) -> None:
    """Write a Parquet file: see `trial_columns`. A column with numbers and words has texts.

    Raises:
        SweepError: pyarrow is missing.
        OSError: the file cannot be written.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise SweepError(
            f"{path} cannot be written: Parquet needs pyarrow ({first_line(error)}); pip install pyarrow, or choose"
            " a .csv file"
        ) from error

    def array(values: list[Any]) -> Any:
        try:
            found = pyarrow.array(values)
        except pyarrow.ArrowException:
            found = pyarrow.array([None if value is None else str(_cell(value, True)) for value in values])
        return found.cast(pyarrow.string()) if pyarrow.types.is_null(found.type) else found

    with replacing(path) as file:
        parquet.write_table(pyarrow.table({name: array(values) for name, values in trial_columns(sweep).items()}), file)


def _objective(trial: TrialRecord, place: int) -> float | None:
    values = trial.values or ((trial.value,) if trial.value is not None else ())
    return values[place] if place < len(values) else None


def _cell(value: Any, of_axis: bool) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return name_of(value) if of_axis and isinstance(value, float | str) else value
