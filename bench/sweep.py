"""What a sweeper costs: per trivial trial, with uneven trials on two workers, in a long study, per claim.

Hydra's own sweeper, this project's and two others' take turns, round by round; printed are medians and ratios to
Hydra's own, and everything goes to runs/bench/sweep.json. Parts can be chosen (default: all but `long`):

    python -m bench.sweep trivial uneven claims long
"""

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.machine import machine
from bench.sweeping.claims import per_second, storages
from bench.sweeping.systems import System, systems

FOLDER = Path("runs/bench/sweep").absolute()
ROUNDS, FEW, TRIALS = 3, 4, 40
LONG, SHORT, UNEVEN = 30.0, 3.0, 8  # seconds, seconds, trials: short of a training, long beside a start
LONG_STUDY, SLICE = 2000, 100  # trials
WORKERS = (1, 2, 4, 8)
console = Console(highlight=False, soft_wrap=True)


def main() -> None:
    """Measure the parts that the command line names."""
    parts: dict[str, Callable[[], Any]] = {"trivial": trivial, "uneven": uneven, "claims": claims, "long": long_study}
    chosen = sys.argv[1:] or ["trivial", "uneven", "claims"]
    if not set(chosen) <= parts.keys():
        sys.exit(f"{' '.join(chosen)} is not allowed: the parts are {' '.join(parts)}")
    out = Path("runs/bench/sweep.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(out.read_text()) if out.exists() else {}
    for part in chosen:
        results[part] = {"machine": machine(), "results": parts[part]()}
        out.write_text(json.dumps(results, indent=1))
    console.print(f"written: {out}")


def trivial() -> dict[str, Any]:
    """Seconds that each further trial adds to a command, which also has its start: Hydra's own sweeper composes all
    configs before its first job, so the time between two jobs would not say what a trial costs.
    """
    steps: dict[str, list[float]] = {}
    for system in systems():
        sweep(system, FEW)  # its environment is made, its modules are compiled
    for _ in range(ROUNDS):
        for system in systems():
            few, _ = sweep(system, FEW)
            many, _ = sweep(system, FEW + TRIALS)
            steps.setdefault(system.label, []).append((many - few) / TRIALS)
    first = next(iter(steps.values()))
    table = Table("sweeper x workers", "s per trial", "ratio", title="trivial trials")
    results = {}
    for label, values in steps.items():
        ratio = statistics.median(own / basic for own, basic in zip(values, first, strict=True))
        results[label] = {"seconds": statistics.median(values), "ratio": ratio, "rounds": values}
        table.add_row(label, f"{statistics.median(values):.3f}", f"{ratio:.2f}")
    console.print(table)
    return results


def uneven() -> dict[str, Any]:
    """Eight trials, long and short ones in turns, on two workers: the whole command against the ideal."""
    ideal = (LONG + SHORT) * UNEVEN / 2 / 2
    table = Table("sweeper x workers", "command, s", "over ideal", "jobs alone, s", "over ideal", title="uneven trials")
    results = {}
    for system in systems():
        if system.workers == 2:
            total, times = sweep(system, UNEVEN, f"long={LONG}", f"short={SHORT}")
            jobs = max(end for _, end in times) - times[0][0]
            results[system.label] = {"ideal": ideal, "command": total, "jobs": jobs}
            table.add_row(system.label, f"{total:.1f}", f"{total / ideal:.2f}", f"{jobs:.1f}", f"{jobs / ideal:.2f}")
    console.print(table)
    return results


def claims() -> dict[str, Any]:
    """Claims a second by storage and number of processes."""
    table = Table("storage", *(f"{workers} processes" for workers in WORKERS), title="claims and results a second")
    results = {}
    FOLDER.mkdir(parents=True, exist_ok=True)
    with storages(fresh("claims")) as makers:
        for name, make in makers.items():
            values = [statistics.median(per_second(make(), workers) for _ in range(ROUNDS)) for workers in WORKERS]
            results[name] = dict(zip(map(str, WORKERS), values, strict=True))
            table.add_row(name, *(f"{value:.0f}" for value in values))
    console.print(table)
    return results


def long_study() -> dict[str, Any]:
    """The last trials of a long study against the first."""
    [system] = [system for system in systems() if system.label == "clipgan x 2"]
    total, times = sweep(system, LONG_STUDY)
    starts = [start for start, _ in times]
    first = (starts[SLICE] - starts[0]) / SLICE
    last = (starts[-1] - starts[-1 - SLICE]) / SLICE
    ratio = last / first
    console.print(
        f"{LONG_STUDY} trials in {total:.0f} s: the first {SLICE} {first:.3f} s each, the last {last:.3f}: {ratio:.2f}"
    )
    return {"seconds": total, "first": first, "last": last, "ratio": ratio}


def sweep(system: System, n: int, *overrides: str) -> tuple[float, list[tuple[float, float]]]:
    """Run a sweep of `n` trials; seconds of the command, and (start, end) of each trial, by start."""
    folder = fresh(system.label.replace(" ", ""))
    command, environment = system.command(n, *overrides), system.environment()
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    lines = (folder / "times.txt").read_text().splitlines() if (folder / "times.txt").exists() else []
    if done.returncode or len(lines) != n:
        sys.exit(f"{system.label} ran {len(lines)} of {n} trials, status {done.returncode}:\n{done.stderr[-2000:]}")
    return seconds, sorted((float(line.split()[0]), float(line.split()[1])) for line in lines)


def fresh(name: str) -> Path:
    """An empty folder."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
