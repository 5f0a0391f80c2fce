"""Measure a training's time: split the wall time of a real training loop into parts that add up.

    python -m bench.breakdown                     # the demo's configuration, 2 kimg and their snapshots
    python -m bench.breakdown model=base kimg=1 cache_dir=DIR

A snapshot and the end of the training are split into the images' generation, their encoding, and each measure. The
bench wraps functions of the loop from outside. A backward pass walks the graph from its end to its beginning. When a
gradient arrives at the output of G, D or an encoder, this network's backward pass begins, and the time counts for the
network. Overrides as for train.py; it writes runs/bench/breakdown.json.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from bench.measuring import arguments, show, write
from bench.stopwatch import Stopwatch
from clipgan.base.console import console
from clipgan.base.device import choose_device
from clipgan.config import MEASURES, Config
from clipgan.config.command_line import compose_config, messages_not_tracebacks
from clipgan.engine import checkpoint_folder, checkpointing
from clipgan.engine.result import Result
from clipgan.engine.step_averages import StepAverages
from clipgan.inputs.batches.batches import Batches
from clipgan.inputs.batches.prefetch import Prefetched
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.encoders.resnet import FrozenResNet
from clipgan.metrics import evaluation
from clipgan.metrics.evaluation import Evaluation, load_measure
from clipgan.metrics.extractors import InceptionExtractor, JudgeExtractor
from clipgan.tasks.gan import steps, train_step
from clipgan.tasks.gan import training as loop
from clipgan.tasks.gan.ema import MovingAverage
from clipgan.tasks.gan.sample_grid import SampleGrid
from clipgan.tasks.gan.state import TrainingState
from clipgan.tasks.train import train
from clipgan.tracking.log import Log
from clipgan.tracking.run_description import Origin
from clipgan.tracking.run_log import RunLog

SHORT = ("kimg=2", "snapshot_kimg=1", "mlflow.tracking_uri=null", "graphs=off")
PARTS = (
    "data", "encoders", "losses", "G", "D", "optimizer", "EMA", "logging", "generation", "encoding", "fid", *MEASURES,
    "other metrics", "grid", "checkpoint", "other",
)  # fmt: skip
SNAPSHOTS = ("snapshot", "end")  # the snapshots before the last one, and the last one
STAGES = ("D step", "G step", "R1", "path length", *SNAPSHOTS, "other")


@messages_not_tracebacks()
def main() -> None:
    """Train, print the table of parts and stages, and write it."""
    _, overrides = arguments(__doc__)
    config = compose_config([*SHORT, *overrides])
    spent = measure(config)
    whole = sum(spent.values())
    table = [[part, *(spent.get((stage, part), 0.0) for stage in STAGES)] for part in PARTS]
    table = [row for row in table if any(row[1:])]
    table.append(["all", *(sum(column) for column in list(zip(*table, strict=True))[1:])])
    show(
        ("part", *STAGES, "all", "share"),
        (
            (name, *(f"{value:.2f}" if value else "" for value in row), f"{sum(row):.2f}", f"{sum(row) / whole:.1%}")
            for name, *row in table
        ),
        f"seconds of {config.kimg} kimg, {whole:.1f} in all",
    )
    named = 1 - spent.get(("other", "other"), 0.0) / whole
    console.print(f"named: {named:.1%}")
    cells: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for (stage, part), value in spent.items():
        cells[stage][part] = round(value, 4)
    write("breakdown", kimg=config.kimg, named=named, seconds=cells)


def measure(config: Config) -> Mapping[tuple[str, str], float]:
    """Measure the seconds of each (stage, part) of a training's loop, from its first to its last snapshot."""
    device = choose_device(config.device)

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    watches: list[Stopwatch] = []
    run = loop.Training.run

    def timed_run(training: loop.Training, origin: Origin) -> Result:
        watches.append(Stopwatch(clock))
        with wrapped(watches[0]):
            try:
                return run(training, origin)
            finally:
                with watches[0].timing():  # end of the measured time
                    pass

    with tempfile.TemporaryDirectory() as folder, patch.object(loop.Training, "run", timed_run):
        train(config, Path(folder))
    return watches[0].seconds


@contextmanager
def wrapped(watch: Stopwatch) -> Iterator[None]:
    """While the block runs, report the functions that a training calls to `watch`."""
    places: tuple[tuple[Any, str, dict[str, str]], ...] = (
        (Batches, "at", {"part": "data"}),
        (Prefetched, "at", {"part": "data"}),  # on a GPU; another thread prepares the data
        (train_step, "discriminator_step", {"stage": "D step"}),
        (train_step, "generator_step", {"stage": "G step"}),
        (train_step, "gradient_penalty_step", {"stage": "R1", "part": "D"}),
        (train_step, "path_length_step", {"stage": "path length", "part": "G"}),
        (steps, "styles", {"part": "G"}),
        (steps, "generator_loss", {"part": "losses"}),
        (steps, "discriminator_loss", {"part": "losses"}),
        (steps, "contrast", {"part": "losses"}),
        (MovingAverage, "update", {"part": "EMA"}),
        (TrainingState, "update", {"part": "optimizer"}),
        (Evaluation, "__call__", {"part": "other metrics"}),
        (evaluation, "generate", {"part": "generation"}),
        (JudgeExtractor, "__call__", {"part": "encoding"}),
        (InceptionExtractor, "__call__", {"part": "encoding"}),
        (FrozenClip, "encode_text", {"part": "encoding"}),
        *measures(),
        (SampleGrid, "save", {"part": "grid"}),
        (checkpointing, "save_checkpoint", {"part": "checkpoint"}),
        (checkpoint_folder, "keep_only", {"part": "checkpoint"}),
        (RunLog, "metrics", {"part": "logging"}),
        (RunLog, "artifact", {"part": "logging"}),
        (RunLog, "model", {"part": "logging"}),
        (RunLog, "finish", {"part": "logging"}),
        (StepAverages, "add", {"part": "logging"}),
        (StepAverages, "means", {"part": "logging"}),
    )
    differentiated = (
        (TrainingState, "generate", "G"), (TrainingState, "discriminate", "D"),
        (FrozenClip, "encode_image", "encoders"), (FrozenResNet, "encode_image", "encoders"),
    )  # fmt: skip
    with ExitStack() as stack:
        for owner, name, names in places:
            stack.enter_context(patch.object(owner, name, watch.timed(getattr(owner, name), **names)))
        for owner, name, part in differentiated:
            stack.enter_context(patch.object(owner, name, both_ways(watch, getattr(owner, name), part)))
        stack.enter_context(patch.object(Tensor, "backward", from_losses(watch, Tensor.backward)))
        stack.enter_context(patch.object(loop.Training, "_snapshot", snapshot(watch, loop.Training._snapshot)))
        yield


def measures() -> Iterator[tuple[Any, str, dict[str, str]]]:
    """List the functions of each measure."""
    for name in ("fid", *MEASURES):
        measure = type(load_measure(name))
        yield from (
            (measure, function, {"part": name}) for function in ("read", "metrics") if function in vars(measure)
        )


def snapshot(watch: Stopwatch, function: Callable[..., None]) -> Callable[..., None]:
    """Wrap a training's `_snapshot`: the last one is a stage of its own."""

    def call(training: loop.Training, log: Log, units: int, values: dict[str, float], last: bool) -> None:
        with watch.timing(stage="end" if last else "snapshot"):
            function(training, log, units, values, last=last)

    return call


def from_losses(watch: Stopwatch, backward: Callable[..., None]) -> Callable[..., None]:
    """Count a backward pass for the losses at first; a regulariser's pass counts for its network. See `both_ways`."""

    def call(*args: Any, **kwargs: Any) -> None:
        with watch.timing(part="losses" if watch.part == "other" else None):
            backward(*args, **kwargs)

    return call


def both_ways(watch: Stopwatch, function: Callable[..., Any], part: str) -> Callable[..., Any]:
    """Wrap `function`: its time counts for `part`, and so does the backward pass through the tensors that it returns.

    Snapshots are an exception: their parts have other names.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        if watch.stage in SNAPSHOTS:
            return function(*args, **kwargs)
        with watch.timing(part=part):
            result = function(*args, **kwargs)
        for output in tree_leaves(result):
            if isinstance(output, Tensor) and output.requires_grad:
                output.register_hook(lambda _: watch.turn_to(part))
        return result

    return call


if __name__ == "__main__":
    main()
