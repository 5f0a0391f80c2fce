"""One training step from the very start: what it takes in time and memory before a long run is begun.

Drawn shapes, 32 for training and 16 held out, are prepared for the chosen encoders, and one step is done (with R1 and
path length, which the first one has). Overrides as for train.py:

    python -m bench.one_step clip=ViT-L14@336 clip.checkpoint=FILE resolution=64 model=base
"""

import sys
import time
from pathlib import Path

import torch

from clipgan.base.console import console
from clipgan.base.device import choose_device
from clipgan.config.command_line import compose_config
from clipgan.encoder_cost import peak_megabytes
from clipgan.tasks.gan.preparation import prepare
from clipgan.tasks.gan.training import Training

SMALL = (
    "data.n_train=32", "data.n_heldout=16", "metrics.n_images=16", "metrics.judge.train.steps=1",
    "metrics.judge.train.min_attribute_accuracy=0", "clip.train.steps=1", "clip.train.min_attribute_accuracy=0",
    "resnet.train.steps=1", "resnet.train.batch=8",
)  # fmt: skip


def main() -> None:
    """Prepare, do the step, print."""
    composed = compose_config(sys.argv[1:])
    trained = {"clip": composed.clip.train, "resnet": composed.resnet.train}
    small = [text for text in SMALL if ".train." not in text or trained[text.partition(".")[0]] is not None]
    config = compose_config([*small, *sys.argv[1:]])
    device = choose_device(config.device)
    start = time.perf_counter()
    prepared = prepare(config, device)
    console.print(f"prepared in {time.perf_counter() - start:.0f} s, peak {peak_megabytes(device):.0f} MB so far")
    torch.set_num_threads(config.threads or torch.get_num_threads())
    training = Training(config, Path("runs/bench"), prepared, device, None)
    start = time.perf_counter()
    with training.state.precision.products():
        values = training.step(0)
    peak = peak_megabytes(device)
    what = f"batch {config.batch}, {config.resolution} pixels, {config.clip.name}"
    console.print(f"one step ({what}): {time.perf_counter() - start:.1f} s, peak {peak:.0f} MB")
    console.print(", ".join(f"{name} {float(value):.4g}" for name, value in values.items()))


if __name__ == "__main__":
    main()
