"""The tables of a report, for the page and for papers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sweeps.points import verdict
from sweeps.points.numbers import column
from sweeps.points.search_space import Value, name_of, shown
from sweeps.points.statistics import columns as summary_columns
from sweeps.points.trial_record import TrialRecord
from sweeps.report.reading import Sweep

ORDER = "The order is that of hydra.sweeper.aggregate={}."  # where it is not that of the means


@dataclass(frozen=True)
class Column:
    """A column and how its cells are set."""

    name: str
    number: bool = False  # to the right
    code: bool = False
    link: bool = False  # a cell is the path of a file


@dataclass(frozen=True)
class Row:
    """The cells of a row as text."""

    cells: tuple[str, ...]
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Columns and rows of text."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def point_table(sweep: Sweep) -> Table:
    """One row for each complete point, the best first; with replicas also spread and interval; noise where known."""
    columns = [Column(axis) for axis in sweep.axes]
    ranking, points = sweep.ranking, sweep.points
    replicas, several = ranking.has_replicas, len(sweep.goal.names) > 1
    compared = not ranking.incomparable and (replicas or any(map(ranking.noise, points)))
    numbers = []  # a list for each column
    for place, name in enumerate(sweep.goal.names):
        summaries = [result.summaries[place] for result in points]
        if sweep.aggregates:
            columns.append(Column(f"{name}, {sweep.goal.aggregate}", number=True))
            numbers.append(column([result.values[place] for result in points]))
        columns.append(Column(f"{name}, mean" if sweep.aggregates else name, number=True))
        columns += [Column("sd", number=True), Column("95 % interval", number=True)] if replicas else []
        numbers += summary_columns(summaries) if replicas else [column([said.mean for said in summaries])]
    columns += [Column("n", number=True)] if replicas else []
    columns += [Column("on the front")] if several else [Column("against the best")] if compared else []
    rows = []
    for index, result in enumerate(points):
        cells = [_axis(result.point, axis) for axis in sweep.axes]
        cells += [own[index] for own in numbers]
        cells += [ranking.count(result)] if replicas else []
        if several:
            cells.append("yes" if result in ranking.leaders else "")
        elif compared:
            cells.append("best" if index == 0 else verdict.compared(ranking, result))
        rows.append(Row(tuple(cells), best=result in ranking.leaders))
    return Table(tuple(columns), tuple(rows))


def trial_table(sweep: Sweep) -> Table:
    """One row for each trial, with the command that runs it again."""
    replicas = len({trial.replica for trial in sweep.trials}) > 1
    attributes = sweep.ranking.attributes
    leading = {trial.number for result in sweep.ranking.leaders for trial in result.complete}
    columns = [Column("trial", number=True), *(Column(axis) for axis in sweep.axes)]
    columns += [Column("replica", number=True)] if replicas else []
    columns += [Column(name, number=True) for name in (*sweep.goal.names, *attributes.values())]
    columns += [Column("state"), Column("last checkpoint", link=True), Column("to run it again", code=True)]
    values = [trial.values or (None,) * len(sweep.goal.names) for trial in sweep.trials]
    numbers = [column([row[place] for row in values]) for place in range(len(sweep.goal.names))]
    numbers += [column([trial.attributes.get(name) for trial in sweep.trials]) for name in attributes]
    rows = []
    for index, trial in enumerate(sweep.trials):
        cells = [str(trial.label), *(_axis(trial.point, axis) for axis in sweep.axes)]
        cells += [str(trial.replica)] if replicas else []
        cells += [own[index] for own in numbers]
        state = "not started" if trial.skipped else trial.state.lower()
        rows.append(Row((*cells, state, _last_checkpoint(trial), sweep.command(trial)), best=trial.number in leading))
    return Table(tuple(columns), tuple(rows))


def failure_table(sweep: Sweep) -> Table:
    """The failed trials with their reasons, and the earlier attempts of trials that were run again."""
    later = {trial.task: trial.number for trial in sweep.trials}
    columns = (Column("trial", number=True), Column("point"), Column("reason"), Column("run again"), Column("where"))
    failed = [trial for trial in (*sweep.trials, *sweep.superseded) if trial.state == "FAIL"]
    rows = []
    for trial in sorted(failed, key=lambda trial: trial.number):
        again = "" if later[trial.task] == trial.number else "yes"
        rows.append(Row((str(trial.label), str(trial), trial.reason or "-", again, trial.run_dir or "-")))
    return Table(columns, tuple(rows))


def pruned_table(sweep: Sweep) -> Table:
    """The pruned trials, and how far they came."""
    columns = (
        Column("trial", number=True),
        Column("point"),
        Column(f"last {sweep.goal.step_name}", number=True),
        Column(f"{sweep.objective} there", number=True),
        Column("seconds", number=True),
    )
    trials = sweep.in_state("PRUNED")
    last = [list(trial.steps.items())[-1] if trial.steps else (None, None) for trial in trials]
    steps, values = (column([pair[place] for pair in last]) for place in (0, 1))
    told = zip(steps, values, column([trial.seconds for trial in trials]), strict=True)
    rows = [Row((str(trial.label), str(trial), *cells)) for trial, cells in zip(trials, told, strict=True)]
    return Table(columns, tuple(rows))


def _last_checkpoint(trial: TrialRecord) -> str:
    """The newest checkpoint in a trial's run directory, as a path; - if there is none."""
    files = sorted(Path(trial.run_dir).glob("checkpoint-*.pt")) if trial.run_dir is not None else []
    return str(files[-1]) if files else "-"


def _axis(point: Mapping[str, Value], axis: str) -> str:
    """A choice as it is named; of a sampled number six digits."""
    if axis not in point:
        return "-"
    value = point[axis]
    return f"{value:.6g}" if isinstance(value, float) and not value.is_integer() else shown(name_of(value))
