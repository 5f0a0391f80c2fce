"""Time a training's steps: whole cycles of 16 steps, or each kind of step by itself."""

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from bench.gpu.trainings import graphs_in_use
from bench.measuring import in_turns
from clipgan.tasks.gan.training import Training

CYCLE = 16  # steps: one computes R1 and path lengths, three compute path lengths, twelve none of them
WARM_UP = (0, 1, 4, 5, 8, 16)  # each kind twice: it runs eagerly, and when all have run, it is captured
CAPTURED = (5, 8, 16)
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


def warmed(
    build: Callable[[], Training], numbers: Iterable[int], beside: bool = False
) -> tuple[Training, dict[str, Any], list[dict[str, float]]]:
    """Make a training and do its first steps.

    Args:
        build: makes the training.
        numbers: of the steps.
        beside: whether there is another training, whose encoders this one shares and whose memory does not count.

    Returns:
        The training; the seconds of all steps and of those that are captured, and the peak of its memory, with its
        encoders; the losses of each step.
    """
    used = torch.cuda.memory_allocated() if beside and torch.cuda.is_initialized() else 0
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    training = build()
    took, losses = {}, []
    for number in numbers:
        start = time.perf_counter()
        [values] = steps(training, (number,))
        losses.append({name: float(value) for name, value in values.items() if name.startswith("loss/")})
        synchronize(training.device)
        took[number] = time.perf_counter() - start
    row = {"seconds": sum(took.values()), "captured_seconds": sum(took.get(number, 0.0) for number in CAPTURED)}
    if training.device.type == "cuda":
        shared = encoder_bytes(training) if beside else 0
        row["peak_gib"] = (torch.cuda.max_memory_allocated(training.device) - used + shared) / GIB
        row["reserved_gib"] = torch.cuda.memory_reserved(training.device) / GIB
    return training, row, losses


def encoder_bytes(training: Training) -> int:
    """Return the bytes of the guiding encoders' weights on the GPU."""
    encoders = [encoder for encoder in (training.clip, training.objective.spaces.resnet) if encoder is not None]
    tensors = [tensor for encoder in encoders for tensor in (*encoder.parameters(), *encoder.buffers())]
    return sum(tensor.nbytes for tensor in tensors if tensor.device.type == "cuda")


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


def relative_difference(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> float:
    """Return the largest relative difference of two runs' losses; infinite if one is not finite."""
    pairs = [(a, b) for row, against in zip(one, other, strict=True) for a, b in zip(row, against, strict=True)]
    if not all(map(math.isfinite, itertools.chain(*pairs))):
        return math.inf
    return max(abs(a - b) / max(abs(a), abs(b), 1e-3) for a, b in pairs)
