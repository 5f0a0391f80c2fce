"""Two trainings side by side with a thread each, against the same two one after the other with two threads each.

    python -m bench.side_by_side           # the demo's configuration; overrides as for train.py

Each training in a process of its own, steps alone. Both ways of running two take turns; before each, a step that does
not count. Threads that wait for each other spin where a training has the machine to itself (OpenMP's default) and sleep
where it has not (OMP_WAIT_POLICY=PASSIVE, as the sweeper's workers). Printed are medians and the ratio of throughput
taken round by round; everything goes to runs/bench/side_by_side.json. The sweeper's number of workers rests on it: as
many as cores have `threads` for.
"""

import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from rich.table import Table

from bench.machine import machine

ROUNDS, STEPS = 4, 16  # one lazy R1 and four path-length steps in each round
PAIR = 2
SIDE, SEQUENCE = "side by side, a thread each", "in sequence, two threads each"


def main() -> None:
    """Measure and print the table."""
    from clipgan.base.console import console, track

    together, alone = started("PASSIVE"), started(None)
    batches = [pipe.recv() for pipe in (*together, *alone)]  # they are ready
    kimg = PAIR * STEPS * batches[0] / 1000
    speeds = [
        {
            SIDE: kimg / seconds([together], threads=1),
            SEQUENCE: kimg / seconds([[pipe] for pipe in alone], threads=PAIR),
        }
        for _ in track(range(ROUNDS), "rounds", ROUNDS)
    ]
    for pipe in (*together, *alone):
        pipe.send(None)
    table = Table("two trainings", "kimg/s together")
    for name in (SIDE, SEQUENCE):
        table.add_row(name, f"{statistics.median(speed[name] for speed in speeds):.3f}")
    console.print(table)
    ratio = statistics.median(speed[SIDE] / speed[SEQUENCE] for speed in speeds)
    console.print(f"side by side / in sequence: {ratio:.2f}")
    out = Path("runs/bench/side_by_side.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine(), "overrides": sys.argv[1:], "kimg/s": speeds, "ratio": ratio}
    out.write_text(json.dumps(results, indent=1))
    console.print(f"written: {out}")


def started(policy: str | None) -> list[Connection]:
    """Two processes whose idle threads have a policy of OpenMP's, or None for its default; how to reach them."""
    os.environ.pop("OMP_WAIT_POLICY", None)
    os.environ.update({"OMP_WAIT_POLICY": policy} if policy else {}, OMP_NUM_THREADS=str(PAIR))  # at most so many
    context = multiprocessing.get_context("spawn")
    ends = [context.Pipe() for _ in range(PAIR)]
    for _, theirs in ends:
        context.Process(target=work, args=(theirs, sys.argv[1:]), daemon=True).start()
    return [ours for ours, _ in ends]


def seconds(groups: Sequence[Sequence[Connection]], threads: int) -> float:
    """What STEPS steps of every training take; groups come one after the other, a group's trainings run at once."""
    whole = 0.0
    for group in groups:
        for steps in (1, STEPS):  # the first one finds the threads asleep
            start = time.perf_counter()
            for pipe in group:
                pipe.send((steps, threads))
            for pipe in group:
                pipe.recv()
        whole += time.perf_counter() - start
    return whole


def work(pipe: Connection, overrides: Sequence[str]) -> None:
    """Be one of the trainings: say its batch, then run steps as told until there is nothing to do."""
    import torch

    from clipgan.base.device import choose_device
    from clipgan.config.command_line import compose_config
    from clipgan.tasks.gan.preparation import prepare
    from clipgan.tasks.gan.training import Training

    config = compose_config(overrides)
    device = choose_device(config.device)
    training = Training(config, Path("runs/bench"), prepare(config, device), device, None)
    done = 0
    pipe.send(config.batch)
    while (order := pipe.recv()) is not None:
        steps, threads = order
        torch.set_num_threads(threads)
        for step in range(done, done + steps):
            training.step(step)
        done += steps
        pipe.send(done)


if __name__ == "__main__":
    main()
