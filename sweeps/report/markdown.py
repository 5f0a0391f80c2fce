"""A table for papers, in Markdown."""

from collections.abc import Sequence

from sweeps.points.statistics import caution
from sweeps.report.main_effects import effects_lead, effects_table, main_effects
from sweeps.report.reading import Sweep
from sweeps.report.tables import ORDER, Table, point_table

_SPECIAL = str.maketrans({"|": r"\|", "\n": " ", "<": "&lt;", ">": "&gt;", "*": r"\*", "_": r"\_", "`": r"\`"})


def markdown(sweep: Sweep) -> str:
    """The complete points, the best first and bold, what the table leaves out, and what each value does by itself."""
    table = point_table(sweep)
    lines = [_escaped(sweep.title), "", f"Study {_escaped(sweep.name)}", ""]
    lines += _table(table) if sweep.points else ["No trial is complete."]
    for line in (*sweep.ranking.incomparable, *sweep.ranking.cautions):
        lines += ["", _escaped(f"{line[0].upper()}{line[1:]}.")]
    left_out = [f"{len(sweep.in_state(state))} {state.lower()}" for state in ("PRUNED", "FAIL", "RUNNING", "WAITING")]
    if n_skipped := sum(trial.skipped for trial in sweep.trials):
        left_out.append(f"{n_skipped} not started, as their point was pruned")
    lines += ["", "Trials not in the table: " + ", ".join(left_out) + "."]
    if sweep.ranking.has_replicas:
        few = caution(result.first.n for result in sweep.points)
        how = "Intervals: seeded bootstrap of the mean, percentile interval widened for small samples."
        lines.append(f"{how} {few}" if few else how)
    if sweep.aggregates:
        lines += ["", _escaped(ORDER.format(sweep.goal.aggregate))]
    if not isinstance(found := main_effects(sweep), str):
        lines += ["", _escaped(effects_lead(sweep, found)), "", *_table(effects_table(sweep, found))]
    return "\n".join(lines) + "\n"


def _table(table: Table) -> list[str]:
    lines = [_row([_escaped(column.name) for column in table.columns])]
    lines.append(_row(["---:" if column.number else "---" for column in table.columns]))
    for row in table.rows:
        cells = [_escaped(cell) for cell in row.cells]
        lines.append(_row([f"**{cell}**" if row.best and cell else cell for cell in cells]))
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return text.translate(_SPECIAL)
