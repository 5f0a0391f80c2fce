"""A step of pretraining against a straightforward SimCLR loop.

    python -m bench.simclr                          # the tiny network, 32 pixels, batch 512
    python -m bench.simclr simclr.network=resnet18 batch=64 pairs=plain

The straightforward loop does what a SimCLR from its paper and torchvision's tutorials does: each image passes through
torchvision's v2 transforms by itself, twice, NT-Xent is a matrix with its diagonal masked and a cross-entropy, the
optimiser is torch's SGD in LARS's place, and CLIP, where it chooses the pairs, sees the augmented views in each step.
The two take turns, round by round, in one process. Printed are medians and the median of the rounds' ratios, for the
whole step and for its parts; everything goes to runs/bench/simclr.json.
"""

import json
import math
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.table import Table
from torch import Tensor
from torchvision.transforms import v2

from bench.machine import machine
from bench.train_step import seconds
from clipgan.base.console import console, track
from clipgan.base.device import choose_device
from clipgan.config import Config
from clipgan.config.command_line import compose_config
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.tasks.simclr.augment import augment, draw
from clipgan.tasks.simclr.network import build_network
from clipgan.tasks.simclr.pretraining import Pretraining, prepare_pretraining
from clipgan.tasks.simclr.step import choose_pairs, views_of

ROUNDS = 7


class Straightforward:
    """One step as one would write it first."""

    def __init__(self, config: Config, clip: FrozenClip | None, x_flip: bool, device: torch.device) -> None:
        assert config.simclr is not None
        self.config, self.simclr, self.clip = config, config.simclr, clip
        self.network = build_network(config.simclr, config.resolution).to(device)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-6)
        how = config.simclr.augment
        transforms: list[Any] = [
            v2.RandomResizedCrop(config.resolution, (how.crop, 1.0), (1 / how.aspect, how.aspect), antialias=True),
            v2.RandomHorizontalFlip(0.5 * x_flip),
            v2.RandomApply([v2.ColorJitter(how.colour, how.colour, how.colour, how.hue)], how.jitter),
            v2.RandomGrayscale(how.grayscale),
        ]
        if how.blur:
            kernel = 2 * max(1, config.resolution // 20) + 1
            transforms.append(v2.RandomApply([v2.GaussianBlur(kernel, (0.1, 2.0))], how.blur))
        self.transform = v2.Compose(transforms)

    def views(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Both views, image by image."""
        one, other = (torch.stack([self.transform(image) for image in images]) for _ in range(2))
        return one, other

    def loss(self, z: Tensor, seen: Tensor | None) -> Tensor:
        """NT-Xent; with CLIP's features of the views the nearest other one becomes a positive too."""
        z, count = F.normalize(z, dim=1), len(z)
        itself = torch.eye(count, dtype=torch.bool, device=z.device)
        other = torch.arange(count, device=z.device).roll(count // 2)
        log = torch.log_softmax((z @ z.T / self.simclr.temperature).masked_fill(itself, -math.inf), dim=1)
        loss = -log[torch.arange(count), other].mean()
        if seen is not None:
            similarity = (seen @ seen.T).masked_fill(itself | itself[other], -1)
            loss = (loss - log[torch.arange(count), similarity.argmax(dim=1)].mean()) / 2
        return loss

    def step(self, images: Tensor) -> None:
        """Views, loss, gradient, update."""
        views = torch.cat(self.views(images))
        seen = None
        if self.clip is not None:
            with torch.no_grad():
                seen = self.clip.encode_image(2 * views - 1)
        loss = self.loss(self.network(2 * views - 1), seen)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def main() -> None:
    """Measure, print, write."""
    config = compose_config(["task=simclr", "data=shapes", "pairs=add_new_positive", *sys.argv[1:]])
    device = choose_device(config.device)
    torch.set_num_threads(config.threads or torch.get_num_threads())
    ready = prepare_pretraining(config, device)
    run = Pretraining(config, Path("runs/bench"), ready, device, None)
    plainly = Straightforward(config, ready.clip, ready.data.x_flip, device)
    batch = run.batches.at(0)
    clip, views = ready.clip, views_of(batch, run.method, 0)
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "step": (lambda: plainly.step(batch.images), lambda: run.step(run.state.step)),
        "views": (lambda: plainly.views(batch.images), lambda: _views(run, batch.images)),
    }
    if clip is not None:
        pairs["what CLIP says"] = (
            lambda: _encoded(clip, torch.cat(views)),
            lambda: choose_pairs(config.pairs, batch, views, run.method.clip),
        )
    table = Table("", "straightforward, ms", "ours, ms", "ratio", title=f"batch {config.batch}, {config.pairs.name}")
    cells = {name: measure(*pair, device) for name, pair in pairs.items()}
    for name, cell in cells.items():
        table.add_row(name, f"{cell['theirs']:.0f}", f"{cell['ours']:.0f}", f"{cell['ratio']:.2f}")
    console.print(table)
    out = Path("runs/bench/simclr.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"machine": machine(), "overrides": sys.argv[1:], "cells": cells}, indent=1) + "\n")
    console.print(f"written: {out}")


@torch.no_grad()
def _encoded(clip: FrozenClip, views: Tensor) -> None:
    clip.encode_image(2 * views - 1)


def _views(run: Pretraining, images: Tensor) -> None:
    config, random = run.method, torch.Generator().manual_seed(0)
    for _ in range(2):
        augment(images, draw(config.simclr.augment, len(images), images.shape[-1], config.x_flip, random))


def measure(theirs: Callable[[], Any], ours: Callable[[], Any], device: torch.device) -> dict[str, float]:
    """Medians in ms of two actions that take turns, and the median of the ratios."""
    times: list[tuple[float, float]] = []
    for _ in track(range(ROUNDS + 1), "rounds", ROUNDS + 1):
        times.append((seconds(theirs, device), seconds(ours, device)))
    kept = times[1:]  # the first one warms up
    return {
        "theirs": 1000 * statistics.median(first for first, _ in kept),
        "ours": 1000 * statistics.median(second for _, second in kept),
        "ratio": statistics.median(second / first for first, second in kept),
    }


if __name__ == "__main__":
    main()
