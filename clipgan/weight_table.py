"""The table of active weights that a run prints: which terms are on, and at what weight."""

from collections.abc import Sequence

from rich.table import Table

from clipgan.config import PAIRS
from clipgan.losses.structure import Term


def weight_table(terms: Sequence[Term]) -> Table:
    """A row for each network and space, a column for each pair and its primed (heterologous) form."""
    table = Table("loss of", "space", *(column for pair in PAIRS for column in (pair, f"{pair}'")), "tau")
    rows: dict[tuple[str, str], dict[str, Term]] = {}
    for active in terms:
        rows.setdefault((active.phase, active.space), {})[active.pair] = active
    for (phase, space), pairs in rows.items():
        cells = []
        for pair in PAIRS:
            term = pairs.get(pair)
            cells += ["-", "-"] if term is None else [f"{term.homologous:g}", f"{term.heterologous:g}"]
        temperature = next(iter(pairs.values())).temperature
        table.add_row(phase, space, *cells, f"{temperature:g}")
    return table
