"""Compare the points of a sweep with one of them, seed by seed, in every metric that its trials have told.

    python train.py -m task=simclr grid=pairs hydra.sweeper.replicas=3
    python -m sweeps.report STUDY --csv
    python -m bench.paired FILE.csv pairs plain     # the study's CSV, its axis, the value to compare with

It prints a Markdown table for each metric: the mean over the seeds, the seeds, and the mean difference from the chosen
value over the seeds that both have, with its 95 % interval by Student's t for paired values.
"""

import csv
import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.measuring import arguments
from clipgan.config.command_line import messages_not_tracebacks

LEVEL = 0.95
BETWEEN = "replica"  # the CSV's metrics stand between this column and the first one of AFTER
AFTER = ("epoch ", "kimg ", "step ", "seconds")  # what their names begin with

Seeds = Mapping[int, float]  # replica -> value


@messages_not_tracebacks()
def main() -> None:
    """Read the CSV, and print the tables."""
    _, words = arguments(__doc__)
    if len(words) != 3:
        sys.exit(__doc__)
    path, axis, base = words
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0]) if rows else []
    if axis not in columns:
        sys.exit(f"{path} has no axis {axis}: it has {', '.join(columns) or 'no row'}")
    for metric in metrics_of(columns):
        found = by_value(rows, axis, metric)
        if base not in found:
            sys.exit(f"{path} has no finished trial with {axis}={base}: it has {', '.join(found) or 'none'}")
        print(f"\n{table(found, axis, base, metric)}")


def metrics_of(columns: Sequence[str]) -> list[str]:
    """Return the columns that hold metrics."""
    rest = columns[columns.index(BETWEEN) + 1 :]
    end = next((place for place, name in enumerate(rest) if name.startswith(AFTER)), len(rest))
    return list(rest[:end])


def by_value(rows: Sequence[Mapping[str, str]], axis: str, metric: str) -> dict[str, Seeds]:
    """Return the metric of each finished trial, by the axis's value and the replica."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for row in rows:
        if row["state"] == "COMPLETE" and row[metric]:
            found[row[axis]][int(row[BETWEEN] or 0)] = float(row[metric])
    return dict(found)


def table(found: Mapping[str, Seeds], axis: str, base: str, metric: str) -> str:
    """Return the Markdown table of a metric, the values of the axis in the study's order."""
    lines = [f"| `{axis}` | `{metric}` | seeds | more than `{base}` |", "|---|---|---|---|"]
    for value, seeds in found.items():
        shown = ", ".join(f"{seeds[seed]:.3f}" for seed in sorted(seeds))
        difference = "" if value == base else paired(seeds, found[base])
        lines.append(f"| `{value}` | {statistics.fmean(seeds.values()):.3f} | {shown} | {difference} |")
    return "\n".join(lines)


def paired(ours: Seeds, theirs: Seeds) -> str:
    """Return the mean difference over the seeds that both have, and its interval if there are two seeds or more."""
    differences = [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
    if not differences:
        return "no seed in common"
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return f"{mean:+.3f}"
    from scipy.stats import t

    count = len(differences)
    reach = float(t.ppf((1 + LEVEL) / 2, count - 1)) * statistics.stdev(differences) / math.sqrt(count)
    return f"{mean:+.3f} ({mean - reach:+.3f} to {mean + reach:+.3f})"


if __name__ == "__main__":
    main()
