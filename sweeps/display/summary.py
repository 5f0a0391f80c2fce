"""What a sweep says at its end: the table of the study, its best points, its failures, what is left."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from clipgan.base.console import PlainConsole
from clipgan.base.installed import with_this_python
from clipgan.base.text import counted
from sweeps.command.next_steps import Step
from sweeps.display.table import StudyTable, names_in, point_cells, single, study_table
from sweeps.points.numbers import column, digits
from sweeps.points.ranking import Ranking
from sweeps.points.statistics import caution, columns
from sweeps.points.trial_record import TrialRecord
from sweeps.points.verdict import compared, verdict

PIPED_WIDTH = 1000  # characters: nothing is wrapped or cut where the output is no terminal


def new_console() -> Console:
    """A console for standard output."""
    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(width=PIPED_WIDTH)


def print_summary(
    console: Console,
    ranking: Ranking,
    study: str,
    asked: str,
    n_run: int,
    n_superseded: int,
    further: Sequence[Step],
) -> None:
    """Print what a sweep says at its end: the study, and what follows from it.

    Args:
        console: where to print.
        ranking: of the newest trial of each task of the study.
        study: its name.
        asked: number of points or trials that this invocation was asked for, with its unit.
        n_run: trials that this invocation has run.
        n_superseded: older trials of the same points, which the table leaves out.
        further: commands and addresses that the user may want next.
    """
    print_study(console, ranking, study, n_superseded)
    if n_run == 0 and not any(record.state == "WAITING" for record in ranking.records):
        console.print(f"0 trials run: all {asked} are already in study {study}")
    if ranking.points:
        print_steps(console, further)


def print_study(console: Console, ranking: Ranking, study: str, n_superseded: int) -> None:
    """Print the table of a study, its best points, its failures and what is left; for the arguments see above."""
    console.print(f"\nstudy {study}")
    shown = study_table(ranking, console)
    console.print(shown.table, soft_wrap=False)
    records = ranking.records
    for line in (
        *_left_out(records, n_superseded, shown),
        *_verdict(ranking),
        *_failures(records),
        *_unfinished(records),
    ):
        console.print(line, soft_wrap=isinstance(line, str))


def print_steps(console: Console, steps: Sequence[Step]) -> None:
    """Print commands and addresses, each below its purpose."""
    for purpose, command in steps:
        console.print(f"{purpose}:\n    {with_this_python(command)}", soft_wrap=True)


def _left_out(records: Sequence[TrialRecord], n_superseded: int, shown: StudyTable) -> Iterator[str]:
    if shown.left_out:
        yield f"not shown, as the terminal is too narrow: {', '.join(shown.left_out)}"
    n_superseded -= sum(record.failed_again is not None for record in records)  # these have a line of their own
    if n_superseded > 0:
        yield f"not shown: {n_superseded} earlier trials of these points (interrupted, orphaned or retried)"
    n_without = sum(record.state == "COMPLETE" and not record.values for record in records)
    if n_without:
        yield f"not compared: {counted(n_without, 'trial')}, of which no job has returned a number"
    n_steps = len({step for record in records for step in record.steps})
    if n_steps > shown.n_steps:
        yield f"{shown.n_steps} of {n_steps} reported steps are shown"


def _verdict(ranking: Ranking) -> Iterator[Table | str]:
    """The best point, the points with their replicas, or the Pareto front; nothing where no trial is complete.

    Where the trials do not compare, the reason takes the place of all that.
    """
    yield from (*ranking.incomparable, *ranking.cautions)
    if ranking.best is None:
        return
    if len(names := ranking.goal.names) > 1:
        yield from verdict(ranking)
        leaders = sorted(ranking.leaders, key=lambda result: result.values[0])
        written = [column(values) for values in zip(*(result.values for result in leaders), strict=True)]
        for result, values in zip(leaders, zip(*written, strict=True), strict=True):
            said = "  ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
            yield f"  trial {result.replicas[0].label}  {result}  {said}"
        return
    [metric] = names
    n = digits(result.values[0] for result in ranking.points)
    if ranking.asked > 1 or ranking.has_replicas:
        yield _replica_table(ranking)
        if said := caution(result.first.n for result in ranking.points):
            yield said
        best, value, aggregate = ranking.best, single(ranking.best.values[0], n), ranking.goal.aggregate
        said = f"{best.first}  {metric} {value}"
        if aggregate != "mean":
            said = f"{metric} {value} ({aggregate}; mean {best.first})"
        yield f"{ranking.best_of}: {best}  {said}"
        if any(map(ranking.difference, ranking.points)):
            share = f"{1 - ranking.error:.4g}"
            yield f"against the best: difference of the means; all intervals hold at once with probability {share}"
    else:
        [record] = ranking.best.complete
        yield f"best: trial {record.label}  {record}  {metric} {single(record.values[0], n)}{_where(record)}"
    yield from verdict(ranking)


def _replica_table(ranking: Ranking) -> Table:
    """A row for each point, the best first."""
    table = Table(box=box.SIMPLE_HEAD)
    axes = names_in(result.point for result in ranking.points)
    aggregated = [] if ranking.goal.aggregate == "mean" else column([result.values[0] for result in ranking.points])
    decisive = [ranking.goal.aggregate] if aggregated else []
    for title in (*axes, "n", *decisive, "mean", "deviation", "95 % interval", "against the best"):
        table.add_column(title, justify="right", overflow="fold")
    means, deviations, intervals = columns([result.first for result in ranking.points])
    for index, result in enumerate(ranking.points):
        against = "-" if result is ranking.best else compared(ranking, result)
        own = aggregated[index : index + 1]
        numbers = (ranking.count(result), *own, means[index], deviations[index], intervals[index], against)
        style = "bold" if result is ranking.best else None
        table.add_row(*point_cells(result.point, axes), *numbers, style=style)
    return table


def _failures(records: Sequence[TrialRecord]) -> Iterator[str]:
    failed = [record for record in records if record.latest.state == "FAIL"]
    for record in failed:
        stays = "" if record.failed_again is None else ", run again; its earlier result stays"
        yield f"failed: trial {record.label}  {record}  {record.latest.reason}{_where(record)}{stays}"
    if failed:
        yield "to run the failed points again, repeat the command with hydra.sweeper.retry_failed=true"


def _unfinished(records: Sequence[TrialRecord]) -> Iterator[str]:
    states = Counter(record.state for record in records)
    if states["RUNNING"]:
        yield f"running in another process: {states['RUNNING']}"
    if states["WAITING"]:
        yield f"waiting: {states['WAITING']}, until the command that gave them is run again"


def _where(record: TrialRecord) -> str:
    if record.run_dir is None:
        return ""
    path = Path(record.run_dir)
    return f"  in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}"
