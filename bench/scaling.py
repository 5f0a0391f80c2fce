"""Seconds per kimg past this machine: what a step launches, over what GPUs are published to do (docs/scaling.md).

    python -m bench.scaling                       # MS-COCO at 256 x 256, 20 s; overrides as for train.py

Nothing is computed: networks and images are shapes without values (PyTorch's meta device). All times but the measured
ones named below are predictions. Everything goes to runs/bench/scaling.json.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.cost import NOTES, TICK
from bench.machine import machine
from bench.training.algorithm import Part, parts_of_step, total
from bench.training.ledger import Kernel, seconds
from bench.training.passes import Passes, adversarial_passes, clip_tower, encoder_passes, networks, passes, resnet_tower
from clipgan.base.console import console
from clipgan.config import Config, ModelConfig
from clipgan.config.command_line import compose_config
from clipgan.models.losses.structure import active_terms
from clipgan.models.networks.cost import parameter_count

COCO = ("experiment=coco_256", "data.path=.")
CELLS = [(loss, features) for loss in ("asymmetric", "symmetric") for features in ("online", "preprocessed")]
ENCODERS = ("clip=ViT-B32", "clip=ViT-B16", "clip=ViT-L14@336", "resnet=resnet50")
RESOLUTIONS, BATCHES, RANKS = (64, 128, 256, 512), (8, 32, 64), (2, 4, 8)


@dataclass(frozen=True)
class Gpu:
    """What its maker publishes: dense operations a second of each precision, and bytes a second of its memory."""

    flops: Mapping[str, float]
    bandwidth: float


# RTX 3090: NVIDIA's GA102 white paper (bf16 with float32 accumulation). A100 (80 GB) and H100: data sheets of the SXM
# cards, half of what they say with sparsity. V100: data sheet of the SXM2 card.
GPUS = {
    "RTX 3090": Gpu({"fp32": 35.6e12, "tf32": 35.6e12, "bf16": 71e12}, 936e9),
    "A100": Gpu({"fp32": 19.5e12, "tf32": 156e12, "bf16": 312e12}, 2039e9),
    "H100": Gpu({"fp32": 67e12, "tf32": 495e12, "bf16": 989e12}, 3350e9),
}
V100 = Gpu({"fp16": 125e12}, 900e9)
V100_SECONDS = 22.9  # per kimg: StyleGAN2-ADA's README, 256 x 256, one GPU, batch 16, the same widths: 21.6 to 24.2
WIDTH = {"fp32": 1.0, "tf32": 1.0, "bf16": 0.5, "fp16": 0.5}  # of a stored number, relative to float32

# Measured on an H100 with 64 pixels, channel_base 8192, channel_max 256, batch 16: s/kimg of the adversarial step, the
# same at 32 pixels (docs/performance.md). Such a step waits for launches.
H100_SECONDS = {"fp32": 4.71, "tf32": 4.71, "bf16": 6.52}
H100_STEP = ("resolution=64", "model.channel_base=8192", "model.channel_max=256", "batch=16")

LINKS = {"NVLink of an A100": 300e9, "PCIe 4 x16": 32e9, "10 Gbit/s Ethernet": 1.25e9}  # bytes a second, one way


@dataclass(frozen=True)
class Prediction:
    """Seconds per kimg that a step's kernels take, that the CPU takes to launch them, and what limits."""

    device: float
    launches: float
    memory_share: float  # of the device's time, in kernels that wait for memory

    @property
    def seconds(self) -> float:
        """Per kimg: kernels run while the next are launched."""
        return max(self.device, self.launches)

    @property
    def limit(self) -> str:
        """What to make faster first."""
        if self.launches > self.device:
            return "launches"
        return "memory" if self.memory_share > 0.5 else "compute"


@dataclass(frozen=True)
class Assumptions:
    """How far real kernels stay behind the published peaks, and what a launch takes."""

    share: float  # of the roofline
    launch: Mapping[str, float]  # seconds each, by precision

    def predict(self, work: Mapping[Part, float], counted: Passes, gpu: Gpu, precision: str, batch: int) -> Prediction:
        """One precision on one GPU, from how often a step has each part."""
        flops, bandwidth = gpu.flops[precision] * self.share, gpu.bandwidth * self.share

        def roofline(kernels: list[Kernel]) -> float:
            return seconds(kernels, flops, bandwidth, WIDTH[precision])

        def waiting(kernels: list[Kernel]) -> float:
            width = WIDTH[precision]
            return roofline([k for k in kernels if k.bytes * width / bandwidth > k.flops / flops])

        kimg = 1000 / batch  # steps
        device, memory = (total(work, {part: of(counted[part]) for part in counted}) for of in (roofline, waiting))
        launched = total(work, {part: len(kernels) for part, kernels in counted.items()})
        return Prediction(device * kimg, launched * self.launch[precision] * kimg, memory / device)


def calibrated(config: Config) -> Assumptions:
    """The two assumptions, each from one measurement on a GPU."""
    counted = adversarial_passes(config)
    work = adversarial(config.model)
    ideal = Assumptions(1.0, {"fp16": 0.0}).predict(work, counted, V100, "fp16", config.batch)
    small = compose_config([*COCO, *H100_STEP])
    launched = total(work, {part: len(kernels) for part, kernels in adversarial_passes(small).items()})
    each = {name: time * small.batch / 1000 / launched for name, time in H100_SECONDS.items()}
    return Assumptions(ideal.device / V100_SECONDS, each)


def adversarial(model: ModelConfig) -> dict[Part, float]:
    """The parts of a step without contrast."""
    return parts_of_step((), "preprocessed", model)


def all_reduce_seconds(gradient_bytes: float, ranks: int, bandwidth: float) -> float:
    """A ring sends each gradient twice, less a part in `ranks`; one way, in bytes a second."""
    return 2 * (ranks - 1) / ranks * gradient_bytes / bandwidth


def gradient_bytes(config: Config) -> float:
    """Float32 gradients that a rank sends in a step: G's and D's, and once more for a lazy regulariser."""
    generator, discriminator = map(parameter_count, networks(config))
    work = adversarial(config.model)
    return 4 * (generator * (1 + work["path length"]) + discriminator * (1 + work["R1"]))


def main() -> None:
    """Count, predict, print the tables."""
    given = sys.argv[1:]
    config = compose_config([*COCO, *given])
    assumed = calibrated(compose_config(COCO))
    each = ", ".join(f"{name} {value * 1e6:.0f}" for name, value in assumed.launch.items())
    console.print(f"assumed: {assumed.share:.0%} of the roofline; microseconds a launch: {each}")
    record = {
        "machine": machine(), "overrides": given, "assumed": asdict(assumed), "encoders": print_encoders(config.batch),
        "cells": print_cells(given, assumed), "growth": print_growth(given, assumed), "ranks": print_ranks(config),
    }  # fmt: skip
    out = Path("runs/bench/scaling.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1))
    console.print(f"written: {out}")


def gflop(kernels: list[Kernel], batch: int) -> float:
    """Of an image."""
    return sum(kernel.flops for kernel in kernels) / batch / 1e9


def print_encoders(batch: int) -> dict[str, tuple[float, float]]:
    """GFLOP an image of each encoder."""
    table = Table("encoder", "GFLOP an image, forward", "with the gradient to the image")
    counts = {}
    for override in ENCODERS:
        config = compose_config([*COCO, override])
        tower, pixels = clip_tower(config.clip) if override.startswith("clip") else resnet_tower(config.resnet)
        forward, backward = (gflop(kernels, batch) for kernels in encoder_passes(tower, pixels, batch))
        counts[override] = (forward, forward + backward)
        table.add_row(override, f"{forward:.1f}", f"{forward + backward:.1f}")
    console.print(table)
    return counts


def print_cells(given: list[str], assumed: Assumptions) -> list[dict[str, Any]]:
    """The notes' cost table, predicted."""
    config = compose_config([*COCO, *given])
    counted = passes(config)
    parts = Table("part", "GFLOP an image", "GB moved, float32", "launches", title=f"each once, batch {config.batch}")
    for part, kernels in counted.items():
        moved = sum(kernel.bytes for kernel in kernels) / 1e9
        parts.add_row(part, f"{gflop(kernels, config.batch):.1f}", f"{moved:.1f}", str(len(kernels)))
    console.print(parts)
    columns = [(name, precision) for name, gpu in GPUS.items() for precision in gpu.flops]
    table = Table("loss", "features", "TFLOP", *(" ".join(column) for column in columns), "the notes")
    table.title = "seconds a kimg, predicted"
    rows = []
    for cell in CELLS:
        composed = compose_config([*COCO, f"loss={cell[0]}", f"features={cell[1]}", *given])
        work = parts_of_step(active_terms(composed), composed.features, composed.model)
        tflop = total(work, {part: gflop(kernels, composed.batch) for part, kernels in counted.items()})
        found = {
            column: assumed.predict(work, counted, GPUS[column[0]], column[1], composed.batch) for column in columns
        }
        shown = (f"{one.seconds:.1f} {one.limit}" for one in found.values())
        table.add_row(*cell, f"{tflop:.0f}", *shown, f"{NOTES[cell] / TICK:.0f}")
        predicted = {" ".join(column): asdict(one) | {"limit": one.limit} for column, one in found.items()}
        rows.append({"cell": cell, "tflop/kimg": tflop, "predicted": predicted, "notes": NOTES[cell] / TICK})
    console.print(table)
    return rows


def print_growth(given: list[str], assumed: Assumptions) -> list[dict[str, Any]]:
    """The first cell by resolution and by batch."""
    columns = [(name, "bf16") for name in GPUS]
    table = Table("resolution", "batch", "TFLOP", *(" ".join(column) for column in columns))
    table.title = f"seconds a kimg, predicted: {' '.join(CELLS[0])}"
    rows = []
    for override in (*(f"resolution={size}" for size in RESOLUTIONS), *(f"batch={size}" for size in BATCHES)):
        config = compose_config([*COCO, f"loss={CELLS[0][0]}", f"features={CELLS[0][1]}", *given, override])
        counted = passes(config)
        work = parts_of_step(active_terms(config), config.features, config.model)
        tflop = total(work, {part: gflop(kernels, config.batch) for part, kernels in counted.items()})
        found = [assumed.predict(work, counted, GPUS[name], precision, config.batch) for name, precision in columns]
        shown = (f"{one.seconds:.1f} {one.limit}" for one in found)
        table.add_row(str(config.resolution), str(config.batch), f"{tflop:.0f}", *shown)
        rows.append({"override": override, "tflop/kimg": tflop, "s/kimg": [one.seconds for one in found]})
    console.print(table)
    return rows


def print_ranks(config: Config) -> dict[str, Any]:
    """What adding up gradients takes a step."""
    size = gradient_bytes(config)
    table = Table("link", *(f"{ranks} ranks" for ranks in RANKS))
    table.title = f"milliseconds a step for {size / 1e6:.0f} MB of gradients, predicted"
    times = {}
    for link, bandwidth in LINKS.items():
        times[link] = [all_reduce_seconds(size, ranks, bandwidth) * 1000 for ranks in RANKS]
        table.add_row(link, *(f"{time:.1f}" for time in times[link]))
    console.print(table)
    return {"gradient_mb": size / 1e6, "milliseconds": times}


if __name__ == "__main__":
    main()
