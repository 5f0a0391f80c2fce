"""Measure the notes' cost table: seconds per tick (4 kimg) by loss structure, with preprocessed or online features.

The cells take turns, step by step, in one process. The bench prints medians over the rounds of 16 steps, and ratios to
the first cell in the same round, beside the notes' values (MS-COCO at 256 x 256 on a GPU of 24 GiB). As the cells take
turns, the ratio needs fewer rounds than the seconds do. Steps run eagerly (`graphs=off`), so that all rounds are alike.
Overrides as for train.py; it writes runs/bench/cost.json:

    python -m bench.cost model=base clip=ViT-B32
    python -m bench.cost rounds=1                    # default: 3
"""

import itertools
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from bench.measuring import arguments, in_turns, new_training, ratio, show, write
from clipgan.base.console import console
from clipgan.config.command_line import compose_config, messages_not_tracebacks
from clipgan.tasks.gan.training import Training

TICK = 4  # kimg
NOTES = {  # seconds per tick
    ("asymmetric", "preprocessed"): 390, ("asymmetric", "online"): 425,
    ("symmetric", "preprocessed"): 417, ("symmetric", "online"): 443,
}  # fmt: skip
STEPS, WARM_UP = 16, 2  # one lazy R1 and four path-length steps in each round
Cell = tuple[str, str]  # loss structure, features of real images
CELLS: list[Cell] = list(NOTES)


@messages_not_tracebacks()
def main() -> None:
    """Measure, print, write."""
    options, overrides = arguments(__doc__, rounds=3)
    trainings = {
        " ".join(cell): new_training(
            compose_config([f"loss={cell[0]}", f"features={cell[1]}", "graphs=off", *overrides])
        )
        for cell in CELLS
    }
    steps = {name: stepper(training) for name, training in trainings.items()}
    first = next(iter(trainings.values()))
    in_turns(steps, WARM_UP, title="warm-up")
    times = in_turns(steps, options["rounds"] * STEPS, first.device, title="steps")
    kimg = STEPS * first.config.batch / 1000
    rounds = {
        cell: [sum(own[start : start + STEPS]) / kimg for start in range(0, len(own), STEPS)]
        for cell, own in zip(CELLS, times.values(), strict=True)
    }
    report(rounds)


def stepper(training: Training) -> Callable[[], Any]:
    """Make an action that does the training's next step."""
    numbers = itertools.count()

    def step() -> None:
        with training.state.precision.products():
            training.step(next(numbers))

    return step


def report(rounds: dict[Cell, Sequence[float]]) -> None:
    """Print and write the seconds per kimg of each cell's rounds, and the ratios."""
    base, rows = CELLS[0], []
    for cell, own in rounds.items():
        tick = statistics.median(own) * TICK
        rows.append({
            "loss": cell[0], "features": cell[1], "s/tick": tick,
            "ratio": ratio(own, rounds[base]), "notes": NOTES[cell] / NOTES[base], "rounds": own,
        })  # fmt: skip
    show(
        ("loss", "features of real images", "s/tick", f"ratio to {' '.join(base)}", "the notes' ratio"),
        ((r["loss"], r["features"], f"{r['s/tick']:.1f}", f"{r['ratio']:.3f}", f"{r['notes']:.3f}") for r in rows),
    )
    for features in ("preprocessed", "online"):
        _compare(rounds, ("symmetric", features), ("asymmetric", features), f"symmetric / asymmetric, {features}")
    for loss in ("asymmetric", "symmetric"):
        _compare(rounds, (loss, "preprocessed"), (loss, "online"), f"preprocessed / online, {loss}")
    write("cost", cells=rows)


def _compare(rounds: dict[Cell, Sequence[float]], one: Cell, other: Cell, title: str) -> None:
    ours, theirs = ratio(rounds[one], rounds[other]), NOTES[one] / NOTES[other]
    console.print(f"{title}: {ours:.3f} (the notes: {theirs:.3f})")


if __name__ == "__main__":
    main()
