"""Seconds per kimg of the loss structures, with features of the real images preprocessed and online.

The cells take turns, round by round, in one process: a drift of the machine reaches all of them. Printed
are medians, and ratios to the first cell taken round by round. Overrides as for train.py:

    python -m bench.train_step model=base clip=ViT-B32
"""

import statistics
import sys
import time
from pathlib import Path

from rich.table import Table

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
    table = Table("loss", "features of real images", "s/kimg", f"ratio to {' '.join(CELLS[0])}")
    for (loss, features), record in zip(CELLS, times, strict=True):
        ratios = [own / first for own, first in zip(record, times[0], strict=True)]
        table.add_row(loss, features, f"{statistics.median(record):.2f}", f"{statistics.median(ratios):.3f}")
    console.print(table)


if __name__ == "__main__":
    main()
