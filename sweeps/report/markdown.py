"""A table for papers, in Markdown."""

from collections.abc import Sequence

from sweeps.report.reading import Sweep
from sweeps.report.tables import point_table

_SPECIAL = str.maketrans({"|": r"\|", "\n": " ", "<": "&lt;", ">": "&gt;", "*": r"\*", "_": r"\_", "`": r"\`"})


def markdown(sweep: Sweep) -> str:
    """The complete points, the best first and bold, and what the table leaves out."""
    table = point_table(sweep)
    lines = [_escaped(sweep.title), "", f"Study {_escaped(sweep.name)}", ""]
    if sweep.points:
        lines.append(_row([_escaped(column.name) for column in table.columns]))
        lines.append(_row(["---:" if column.number else "---" for column in table.columns]))
        for row in table.rows:
            cells = [_escaped(cell) for cell in row.cells]
            lines.append(_row([f"**{cell}**" if row.best and cell else cell for cell in cells]))
    else:
        lines.append("No trial is complete.")
    left_out = [f"{len(sweep.in_state(state))} {state.lower()}" for state in ("PRUNED", "FAIL", "RUNNING", "WAITING")]
    if n_skipped := sum(trial.skipped for trial in sweep.trials):
        left_out.append(f"{n_skipped} not started, as their point was pruned")
    lines += ["", "Trials not in the table: " + ", ".join(left_out) + "."]
    if sweep.ranking.has_replicas:
        lines.append("Intervals: seeded bootstrap of the mean, percentile interval widened for small samples.")
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return text.translate(_SPECIAL)
