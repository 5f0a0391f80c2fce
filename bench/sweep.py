"""Measure a sweeper's cost: per trivial trial, with uneven trials on two workers, in a long study, per claim.

Hydra's own sweeper, this project's sweeper and two others take turns, round by round. The bench prints medians, and the
ratio to Hydra's own sweeper in the same round. As they take turns, the ratio needs fewer rounds than the seconds do.
Each part writes its own file, runs/bench/sweep-PART.json. The command line may name parts (default: all but `long`).
The other defaults:

    python -m bench.sweep trivial uneven rounds=3 trials=40
    python -m bench.sweep claims rounds=3 each=100
    python -m bench.sweep long long_trials=2000
    python -m bench.sweep replicas sweeps=1000         # simulated sweeps: what replicas=auto claims and saves

The other sweepers come from the package index, each in an environment of its own; the first call makes them.
"""

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.measuring import FOLDER, arguments, ratio, show, write
from bench.sweeping.claims import per_second, storages
from bench.sweeping.replicas import LANDSCAPES, SIZES, Tally, simulate
from bench.sweeping.systems import System, systems
from clipgan.base.console import console
from clipgan.config.command_line import messages_not_tracebacks

PLACE = (FOLDER / "sweep").absolute()
FEW = 4  # trials of a command whose start takes most of its time
LONG, SHORT, UNEVEN = 30.0, 3.0, 8  # seconds, seconds, trials: shorter than a training, longer than a start
SLICE = 100  # trials, at the start and at the end of a long study
WORKERS = (1, 2, 4, 8)
Results = dict[str, dict[str, Any]]


@messages_not_tracebacks()
def main() -> None:
    """Measure the parts that the command line names."""
    options, words = arguments(__doc__, rounds=3, trials=40, each=100, long_trials=2000, sweeps=1000)
    rounds = options["rounds"]
    parts: dict[str, Callable[[], Results]] = {
        "trivial": lambda: trivial(rounds, options["trials"]),
        "uneven": uneven,
        "claims": lambda: claims(rounds, options["each"]),
        "replicas": lambda: replicas(options["sweeps"]),
        "long": lambda: long_study(options["long_trials"]),
    }
    chosen = words or ["trivial", "uneven", "claims", "replicas"]
    if not set(chosen) <= parts.keys():
        sys.exit(f"{' '.join(chosen)} is not allowed: the parts are {' '.join(parts)}")
    for part in chosen:
        write(f"sweep-{part}", results=parts[part]())


def trivial(rounds: int, trials: int) -> Results:
    """Measure the seconds that each further trial adds to a command, without the command's start. (Hydra's own sweeper
    composes all configs before its first job, so the time between two jobs is not the cost of a trial.)
    """
    each: dict[str, list[float]] = {}
    for system in systems():
        sweep(system, FEW)  # makes its environment, compiles its modules
    for _ in range(rounds):
        for system in systems():
            few, many = (sweep(system, count)[0] for count in (FEW, FEW + trials))
            each.setdefault(system.label, []).append((many - few) / trials)
    basic = next(iter(each.values()))
    results = {
        label: {"seconds": statistics.median(own), "ratio": ratio(own, basic), "rounds": own}
        for label, own in each.items()
    }
    show(
        ("sweeper x workers", "s per trial", "ratio"),
        ((label, f"{found['seconds']:.3f}", f"{found['ratio']:.2f}") for label, found in results.items()),
        "trivial trials",
    )
    return results


def uneven() -> Results:
    """Run eight trials, alternately long and short, on two workers: compare the whole command with the ideal."""
    ideal = (LONG + SHORT) * UNEVEN / 2 / 2
    results = {}
    for system in systems():
        if system.workers == 2:
            total, times = sweep(system, UNEVEN, f"long={LONG}", f"short={SHORT}")
            jobs = max(end for _, end in times) - times[0][0]
            results[system.label] = {"ideal": ideal, "command": total, "jobs": jobs}
    show(
        ("sweeper x workers", "command, s", "over ideal", "jobs alone, s", "over ideal"),
        (
            (label, *(text for name in ("command", "jobs") for text in (f"{r[name]:.1f}", f"{r[name] / ideal:.2f}")))
            for label, r in results.items()
        ),
        "uneven trials",
    )
    return results


def claims(rounds: int, each: int) -> Results:
    """Measure claims per second by storage and number of processes; each process claims `each` trials."""
    results = {}
    with storages(fresh("claims")) as makers:
        for name, make in makers.items():
            results[name] = {
                str(workers): statistics.median(per_second(make(), workers, each) for _ in range(rounds))
                for workers in WORKERS
            }
    show(
        ("storage", *(f"{workers} processes" for workers in WORKERS)),
        ((name, *(f"{value:.0f}" for value in found.values())) for name, found in results.items()),
        "claims and results a second",
    )
    return results


def long_study(trials: int) -> Results:
    """Compare the last trials of a long study with the first."""
    [system] = [system for system in systems() if system.label == "clipgan x 2"]
    total, times = sweep(system, trials)
    starts = [start for start, _ in times]
    first, last = (starts[SLICE] - starts[0]) / SLICE, (starts[-1] - starts[-1 - SLICE]) / SLICE
    each = f"the first {SLICE} {first:.3f} s each, the last {last:.3f}: {last / first:.2f}"
    console.print(f"{trials} trials in {total:.0f} s: {each}")
    return {system.label: {"seconds": total, "first": first, "last": last, "ratio": last / first}}


def replicas(sweeps: int) -> Results:
    """Simulate so many sweeps with `replicas=auto`, and as many whose noise grows with the distance from the best."""
    results, each = {}, max(1, sweeps // len(SIZES) // len(LANDSCAPES))
    for uneven in (0.0, 0.5):
        total = Tally()
        for landscape in LANDSCAPES:
            own = sum((simulate(landscape, size, each, 0, uneven) for size in SIZES), Tally())
            results[f"{landscape}{', uneven noise' if uneven else ''}"] = vars(own)
            total += own
        results[f"all{', uneven noise' if uneven else ''}"] = vars(total)
    show(
        ("landscape", "sweeps", "wrong", "all intervals hold", "best told", "by fixed replicas", "kimg of those"),
        (
            (
                name,
                str(found["sweeps"]),
                *(f"{found[key] / found['sweeps']:.1%}" for key in ("wrong", "covered", "told", "fixed_told")),
                f"{found['used'] / found['fixed']:.0%}",
            )
            for name, found in results.items()
        ),
        "replicas=auto",
    )
    return results


def sweep(system: System, n: int, *overrides: str) -> tuple[float, list[tuple[float, float]]]:
    """Run a sweep of `n` trials; return the command's seconds, and (start, end) of each trial, sorted by start."""
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
    folder = PLACE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
