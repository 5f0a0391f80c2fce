"""The notes' cost table: seconds per tick (4 kimg) of each loss structure, real features preprocessed or online.

The cells take turns, step by step, in one process: a drift of the machine reaches all of them. Printed are medians,
and ratios to the first cell taken round by round, beside those of the notes (MS-COCO at 256 x 256 on a GPU of 24 GiB).
Overrides as for train.py; everything goes to runs/bench/cost.json:

    python -m bench.cost model=base clip=ViT-B32
"""

import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.machine import machine

TICK = 4  # kimg
NOTES = {  # seconds per tick
    ("asymmetric", "preprocessed"): 390, ("asymmetric", "online"): 425,
    ("symmetric", "preprocessed"): 417, ("symmetric", "online"): 443,
}  # fmt: skip
ROUNDS, STEPS, WARM_UP = 3, 16, 2  # one lazy R1 and four path-length steps in each round
Cell = tuple[str, str]  # loss structure, features of real images
CELLS = list(NOTES)


def main() -> None:
    """Measure and print the table."""
    import torch

    from clipgan.base.console import console, track
    from clipgan.base.device import choose_device
    from clipgan.config.command_line import compose_config
    from clipgan.tasks.gan.preparation import prepare
    from clipgan.tasks.gan.training import Training

    configs = [compose_config([f"loss={loss}", f"features={features}", *sys.argv[1:]]) for loss, features in CELLS]
    device = choose_device(configs[0].device)
    prepared = [prepare(config, device) for config in configs]
    torch.set_num_threads(configs[0].threads or torch.get_num_threads())
    trainings = [
        Training(config, Path("runs/bench"), ready, device, None)
        for config, ready in zip(configs, prepared, strict=True)
    ]

    def seconds(training: Training, step: int) -> float:
        start = time.perf_counter()
        with training.state.precision.products():
            training.step(step)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    for step in range(WARM_UP):
        for training in trainings:
            seconds(training, step)
    rounds: list[list[float]] = []  # seconds per kimg of each cell
    for number in track(range(ROUNDS), "rounds", ROUNDS):
        steps = range(number * STEPS, (number + 1) * STEPS)
        times = [[seconds(each, step) for each in trainings] for step in steps]
        spent = [sum(cell) for cell in zip(*times, strict=True)]
        rounds.append([whole * 1000 / (STEPS * configs[0].batch) for whole in spent])
    rows = show(rounds)
    out = Path("runs/bench/cost.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(
        json.dumps({"machine": machine(), "overrides": sys.argv[1:], "cells": rows, "rounds": rounds}, indent=1)
    )
    console.print(f"written: {out}")


def show(rounds: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """Print the table of the rounds' seconds per kimg, and the ratios; its rows."""
    from clipgan.base.console import console

    table = Table("loss", "features of real images", "s/tick", f"ratio to {' '.join(CELLS[0])}", "the notes' ratio")
    rows = []
    for place, cell in enumerate(CELLS):
        tick = statistics.median(record[place] for record in rounds) * TICK
        ours, theirs = ratio(rounds, cell, CELLS[0])
        table.add_row(*cell, f"{tick:.1f}", f"{ours:.3f}", f"{theirs:.3f}")
        rows.append({"loss": cell[0], "features": cell[1], "s/tick": tick, "ratio": ours, "notes": theirs})
    console.print(table)
    for features in ("preprocessed", "online"):
        ours, theirs = ratio(rounds, ("symmetric", features), ("asymmetric", features))
        console.print(f"symmetric / asymmetric, {features}: {ours:.3f} (the notes: {theirs:.3f})")
    for loss in ("asymmetric", "symmetric"):
        ours, theirs = ratio(rounds, (loss, "preprocessed"), (loss, "online"))
        console.print(f"preprocessed / online, {loss}: {ours:.3f} (the notes: {theirs:.3f})")
    return rows


def ratio(rounds: Sequence[Sequence[float]], one: Cell, other: Cell) -> tuple[float, float]:
    """Time of one cell over that of another: the median of the rounds', and the notes'."""
    ours = [record[CELLS.index(one)] / record[CELLS.index(other)] for record in rounds]
    return statistics.median(ours), NOTES[one] / NOTES[other]


if __name__ == "__main__":
    main()
