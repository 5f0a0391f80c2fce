"""Parts `step32`, `step256` and `lafite`: the time of a step, eagerly and as CUDA graphs."""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest.mock import patch

from bench.gpu.findings import Findings, Setting
from bench.gpu.launches import profiled
from bench.gpu.timing import (
    CYCLE,
    WARM_UP,
    cycles,
    kinds,
    mean_step,
    parts_of,
    relative_difference,
    row_of,
    steps,
    synchronize,
    warmed,
)
from bench.gpu.trainings import GRAPHS, OnDevice, graphs_in_use, noise_training, prepared_for, real_training
from bench.measuring import ratio
from clipgan.base.memory import give_back_memory
from clipgan.tasks.gan.preparation import Prepared
from clipgan.tasks.gan.training import Training

BASE = ("model=base", "resolution=256", "batch=16", "loss=asymmetric", "clip=ViT-B32", "resnet=resnet50")
ROWS = (("bf16", 16), ("bf16", 64), ("fp32", 16))  # of the default step: precision and batch
# The step at 256 pixels without a new implementation: name -> overrides, and what is set to what.
VARIANTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "bf16": (("precision=bf16",), {}),
    "tf32": (("precision=tf32",), {}),
    "bf16, PyTorch's convolution": (("precision=bf16",), {"clipgan.models.networks.convolution.OWN": ()}),
}


def step32(setting: Setting, found: Findings) -> None:
    """Time the default step at batch 16 and 64, and in float32; count kernels and launches at batch 16."""
    prepared = prepared_for(setting)
    rows = {f"{precision}, batch {batch}": (precision, batch) for precision, batch in ROWS}
    for name in setting.within(rows, found, first=8):
        precision, batch = rows[name]
        with found.attempt(name):
            row, counted = default_step(setting, prepared, f"precision={precision}", f"batch={batch}")
            found.put(name, row)
            if (precision, batch) == ("bf16", 16):
                found.put("launches", counted)
        give_back_memory()


def default_step(setting: Setting, prepared: Prepared, *overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Warm up, compare the losses of the first steps, time whole cycles and the kinds of steps, and count launches."""
    found: dict[str, Any] = {}
    losses, trainings = [], dict[str, Training]()
    for way, graphs in GRAPHS.items():
        build = partial(real_training, setting, *overrides, *graphs, prepared=prepared)
        trainings[way], row, of_way = warmed(build, range(2 * CYCLE), beside=bool(trainings))
        losses.append([list(values.values()) for values in of_way])
        found[way] = {"warm_up": row}
    times = cycles(trainings, setting.count(3))
    for way, training in trainings.items():
        training.batches = OnDevice(training.batches.at(0))
        of_kinds = kinds({way: training}, setting.count(2))[way]
        found[way] |= row_of(training, [value / CYCLE for value in times[way]]) | {
            "parts_ms": parts_of(of_kinds),
            "batch on the GPU, ms": 1000 * statistics.median(mean_step(of_kinds)),
        }
    found["relative difference of losses"] = relative_difference(*losses)
    found["ratio"] = ratio(times["eager"], times["graphs"])
    return found, {way: launches(training) for way, training in trainings.items()}


def launches(training: Training) -> dict[str, Any]:
    """Count kernels and launches of a plain step, and of one with both regularisers."""
    device = training.device
    steps(training, (CYCLE, CYCLE + 1))
    synchronize(device)
    return {
        "plain": profiled(lambda: steps(training, (CYCLE + 1,)), device),
        "regularised": profiled(lambda: steps(training, (CYCLE,)), device),
    }


def step256(setting: Setting, found: Findings) -> None:
    """Time the step of `model=base` at 256 pixels with encoders of real size, and find its longest kernels."""
    names = [name for name in VARIANTS if name != "tf32" or setting.device != "cpu"]
    for name in setting.within(names, found, first=15):
        overrides, replaced = VARIANTS[name]
        with found.attempt(name), ExitStack() as stack:
            for target, value in replaced.items():
                stack.enter_context(patch(target, value))
            row: dict[str, Any] = {}
            for key, value in large_step(setting, (*BASE, *overrides), longest=10 if name == "bf16" else 0):
                found.put(name, row := row | {key: value})
        give_back_memory()


def lafite(setting: Setting, found: Findings) -> None:
    """Time the step of `model=lafite` at 256 pixels and batch 64 with ViT-B/32."""
    wanted = ("model=lafite", "resolution=256", "batch=64", "loss=lafite", "clip=ViT-B32")
    for way in setting.within(reversed(GRAPHS), found, first=15):  # graphs first
        with found.attempt(way):
            for name, value in large_step(setting, wanted, 15 if way == "graphs" else 0, (way,), rounds=2, brief=True):
                found.put(name, value)
        give_back_memory()


def large_step(
    setting: Setting,
    overrides: tuple[str, ...],
    longest: int = 0,
    ways: tuple[str, ...] = tuple(GRAPHS),
    rounds: int = 3,
    brief: bool = False,
) -> Iterator[tuple[str, dict[str, Any] | float]]:
    """Time the kinds of steps of one training, eagerly and as graphs, in turns; yield each finding when it is known."""
    warm_up: dict[str, dict[str, Any]] = {}
    trainings: dict[str, Training] = {}
    for way in ways:
        build = partial(noise_training, setting, *overrides, *GRAPHS[way])
        trainings[way], warm_up[way], _ = warmed(build, WARM_UP, beside=bool(trainings))
        yield f"warm-up, {way}", warm_up[way]
    times = kinds(trainings, setting.count(rounds), brief)
    for way, training in trainings.items():
        measured = {"warm_up": warm_up[way], "parts_ms": parts_of(times[way])}
        yield way, measured | row_of(training, mean_step(times[way]))
    if len(ways) > 1:
        yield "ratio", ratio(mean_step(times["eager"]), mean_step(times["graphs"]))
    if longest:
        way, training = list(trainings.items())[-1]
        numbers = (CYCLE + 1,) if brief else tuple(range(CYCLE))
        yield (
            "longest kernels",
            {"of": graphs_in_use(training), "steps": len(numbers)}
            | profiled(lambda: steps(training, numbers), training.device, longest),
        )
