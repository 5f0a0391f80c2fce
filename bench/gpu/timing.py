"""Time a training's steps: whole cycles of 16 steps, or each kind of step by itself."""

import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from bench.gpu.trainings import graphs_in_use
from bench.measuring import in_turns
from clipgan.tasks.gan.training import Training

CYCLE = 16  # steps: one computes R1 and path lengths, three compute path lengths, twelve none of them
WARM_UP = (0, 1, 4, 2, 8, 16)  # each kind twice: the first runs eagerly, the second is captured
KINDS: Mapping[str, tuple[int, ...]] = {"regularised": (32,), "path length": (12, 20), "plain": (3, 5, 6, 7)}
SHARES = {"regularised": 1, "path length": 3, "plain": 12}  # steps of a cycle
GIB = 2**30


def steps(training: Training, numbers: Iterator[int] | range | tuple[int, ...]) -> list[dict[str, torch.Tensor]]:
    """Do the steps of these numbers in the training's precision; return their values."""
    with training.state.precision.products():
        return [training.step(number) for number in numbers]


def synchronize(device: torch.device) -> None:
    """Wait for the GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def peak_of(device: torch.device, row: dict[str, Any]) -> Iterator[None]:
    """Put the block's seconds, and the peak of the memory that it allocated, into a row."""
    start, before = time.perf_counter(), 0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    yield
    synchronize(device)
    row["seconds"] = time.perf_counter() - start
    if device.type == "cuda":
        row["peak_gib"] = (torch.cuda.max_memory_allocated(device) - before) / GIB
        row["reserved_gib"] = torch.cuda.memory_reserved(device) / GIB


def cycles(trainings: Mapping[str, Training], rounds: int, first: int = 32) -> dict[str, list[float]]:
    """Return the seconds of whole cycles, which take turns; the steps before `first` have been done."""
    device = next(iter(trainings.values())).device
    numbers = {name: iter(range(first, 10**9)) for name in trainings}

    def cycle(name: str) -> None:
        steps(trainings[name], [next(numbers[name]) for _ in range(CYCLE)])  # type: ignore[arg-type]

    return in_turns({name: partial(cycle, name) for name in trainings}, rounds, device)


def kinds(trainings: Mapping[str, Training], rounds: int, brief: bool = False) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of one step of each kind, by training; trainings and kinds take turns.

    Args:
        rounds: how often each kind is measured.
        brief: measure only one step of each kind in a round, for steps of seconds.
    """
    numbers = {kind: some[:1] if brief else some for kind, some in KINDS.items()}
    device = next(iter(trainings.values())).device
    actions = {
        f"{name}|{kind}": partial(steps, training, numbers[kind])
        for name, training in trainings.items()
        for kind in KINDS
    }
    times = in_turns(actions, rounds, device)
    return {
        name: {kind: [value / len(numbers[kind]) for value in times[f"{name}|{kind}"]] for kind in KINDS}
        for name in trainings
    }


def mean_step(of_kinds: Mapping[str, list[float]]) -> list[float]:
    """Return the mean seconds of a cycle's steps, round by round."""
    return [
        sum(SHARES[kind] * value for kind, value in zip(of_kinds, values, strict=True)) / CYCLE
        for values in zip(*of_kinds.values(), strict=True)
    ]


def parts_of(of_kinds: Mapping[str, list[float]]) -> dict[str, float]:
    """Return the milliseconds of the main step, of path length and of R1, from the times of the kinds of steps."""
    plain, path, both = (statistics.median(of_kinds[kind]) for kind in ("plain", "path length", "regularised"))
    return {"main": 1000 * plain, "path length": 1000 * (path - plain), "R1": 1000 * (both - path)}


def row_of(training: Training, each: list[float]) -> dict[str, Any]:
    """Return a table's row from the mean seconds of a step in each round."""
    middle, batch = statistics.median(each), training.config.batch
    return {
        "ms": 1000 * middle, "s/kimg": middle * 1000 / batch, "rounds_ms": [1000 * value for value in each],
        "batch": batch, "precision": training.state.precision.name, "steps": graphs_in_use(training),
        "clip_precision": training.clip.tower_precision,
    }  # fmt: skip
