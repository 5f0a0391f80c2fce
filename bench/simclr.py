"""Compare a step of pretraining with a straightforward SimCLR loop.

    python -m bench.simclr                          # the tiny network, 32 pixels, batch 512
    python -m bench.simclr simclr.network=resnet18 batch=64 pairs=plain

The straightforward loop follows SimCLR's paper and torchvision's tutorials. Each image passes through torchvision's v2
transforms by itself, twice. NT-Xent is a matrix with its diagonal masked and a cross-entropy. The optimiser is torch's
SGD in place of LARS. Where CLIP chooses the pairs, it sees the augmented views in each step.

Both take turns in one process. It prints medians, and the median of the rounds' ratios, for the step and its parts.
As they take turns, the ratio needs fewer rounds than the milliseconds do: `rounds=3` (default: 5). Overrides as for
train.py; it writes runs/bench/simclr.json.
"""

import math
import statistics
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from bench.measuring import FOLDER, Action, arguments, device_of, in_turns, ratio, show, write
from clipgan.config import Config
from clipgan.config.command_line import compose_config, messages_not_tracebacks
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.tasks.simclr.augment import augment, draw
from clipgan.tasks.simclr.network import build_network
from clipgan.tasks.simclr.pretraining import Pretraining, prepare_pretraining
from clipgan.tasks.simclr.step import choose_pairs, views_of


class Straightforward:
    """A step in the simplest form."""

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
        """Make both views, image by image."""
        one, other = (torch.stack([self.transform(image) for image in images]) for _ in range(2))
        return one, other

    def loss(self, z: Tensor, seen: Tensor | None) -> Tensor:
        """Compute NT-Xent; with CLIP's features of the views, the nearest other view becomes a positive too."""
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
        """Do one step: views, loss, gradient, update."""
        views = torch.cat(self.views(images))
        seen = None
        if self.clip is not None:
            with torch.no_grad():
                seen = self.clip.encode_image(2 * views - 1)
        loss = self.loss(self.network(2 * views - 1), seen)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


@messages_not_tracebacks()
def main() -> None:
    """Measure, print, write."""
    options, overrides = arguments(__doc__, rounds=5)
    config = compose_config(["task=simclr", "data=shapes", "pairs=add_new_positive", *overrides])
    device = device_of(config)
    ready = prepare_pretraining(config, device)
    run = Pretraining(config, FOLDER, ready, device, None)
    plainly = Straightforward(config, ready.clip, ready.data.x_flip, device)
    batch = run.batches.at(0)
    clip, views = ready.clip, views_of(batch, run.method, 0)
    parts: dict[str, dict[str, Action]] = {
        "step": {"theirs": lambda: plainly.step(batch.images), "ours": lambda: run.step(run.state.step)},
        "views": {"theirs": lambda: plainly.views(batch.images), "ours": lambda: _views(run, batch.images)},
    }
    if clip is not None:
        parts["CLIP's choice of pairs"] = {
            "theirs": lambda: _encoded(clip, torch.cat(views)),
            "ours": lambda: choose_pairs(config.pairs, batch, views, run.method.clip),
        }
    cells = {name: measure(name, ways, options["rounds"], device) for name, ways in parts.items()}
    show(
        ("", "straightforward, ms", "ours, ms", "ratio"),
        ((name, f"{c['theirs']:.0f}", f"{c['ours']:.0f}", f"{c['ratio']:.2f}") for name, c in cells.items()),
        f"batch {config.batch}, {config.pairs.name}",
    )
    write("simclr", cells=cells)


def measure(name: str, ways: dict[str, Action], rounds: int, device: torch.device) -> dict[str, float]:
    """Measure both ways: medians in ms, and the median of the rounds' ratios."""
    in_turns(ways, 1, device, title="warm-up")
    times = in_turns(ways, rounds, device, title=name)
    medians = {way: 1000 * statistics.median(record) for way, record in times.items()}
    return medians | {"ratio": ratio(times["ours"], times["theirs"])}


@torch.no_grad()
def _encoded(clip: FrozenClip, views: Tensor) -> None:
    clip.encode_image(2 * views - 1)


def _views(run: Pretraining, images: Tensor) -> None:
    config, random = run.method, torch.Generator().manual_seed(0)
    for _ in range(2):
        augment(images, draw(config.simclr.augment, len(images), images.shape[-1], config.x_flip, random))


if __name__ == "__main__":
    main()
