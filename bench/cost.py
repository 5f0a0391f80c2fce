"""The notes' cost table: seconds per tick (4 kimg) of each loss structure, real features preprocessed or online.

The cells take turns, round by round, in one process: a drift of the machine reaches all of them. Printed are medians,
and ratios to the first cell taken round by round, beside those of the notes (MS-COCO at 256 x 256 on a GPU of 24 GiB).
Overrides as for train.py; everything goes to runs/bench/cost.json:

    python -m bench.cost model=base clip=ViT-B32
"""

import json
import statistics
import sys
import time
from pathlib import Path

from rich.table import Table

from bench.machine import machine

TICK = 4  # kimg
NOTES = {  # seconds per tick
    ("asymmetric", "preprocessed"): 390, ("asymmetric", "online"): 425,
    ("symmetric", "preprocessed"): 417, ("symmetric", "online"): 443,
}  # fmt: skip
ROUNDS, STEPS, WARM_UP = 7, 16, 4  # one lazy R1 and four path-length steps in each round
CELLS = [(loss, features) for loss in ("asymmetric", "symmetric", "lafite") for features in ("preprocessed", "online")]


def main() -> None:
    """Measure and print the table."""
    import torch

    from clipgan.command import compose_config
    from clipgan.prepare import choose_device, prepare
    from clipgan.progress import console, track
    from clipgan.training.loop import Training

    configs = [compose_config([f"loss={loss}", f"features={features}", *sys.argv[1:]]) for loss, features in CELLS]
    device = choose_device(configs[0].device)
    prepared = [prepare(config, device) for config in configs]
    torch.set_num_threads(configs[0].threads or torch.get_num_threads())
    trainings = [
        Training(config, Path("runs/bench"), ready, device, None)
        for config, ready in zip(configs, prepared, strict=True)
    ]

    def seconds(training: Training, steps: range) -> float:
        start = time.perf_counter()
        for step in steps:
            training.step(step)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    for training in trainings:
        seconds(training, range(WARM_UP))
    times: list[list[float]] = [[] for _ in trainings]
    for number in track(range(ROUNDS), "rounds", ROUNDS):
        for training, record in zip(trainings, times, strict=True):
            kimg = STEPS * training.config.batch / 1000
            record.append(seconds(training, range(number * STEPS, (number + 1) * STEPS)) / kimg)
    table = Table("loss", "features of real images", "s/tick", f"ratio to {' '.join(CELLS[0])}", "the notes' ratio")
    rows = []
    for cell, record in zip(CELLS, times, strict=True):
        ratio = statistics.median(own / first for own, first in zip(record, times[0], strict=True))
        tick = statistics.median(record) * TICK
        theirs = NOTES[cell] / NOTES[CELLS[0]] if cell in NOTES else None
        table.add_row(*cell, f"{tick:.1f}", f"{ratio:.3f}", "" if theirs is None else f"{theirs:.3f}")
        rows.append({"loss": cell[0], "features": cell[1], "s/tick": tick, "ratio": ratio, "notes": theirs})
    console.print(table)
    out = Path("runs/bench/cost.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"machine": machine(), "overrides": sys.argv[1:], "cells": rows}, indent=1))
    console.print(f"written: {out}")


if __name__ == "__main__":
    main()
