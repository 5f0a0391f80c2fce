"""Measure time and memory of frozen encoders on this machine, with random weights.

python -m clipgan.encoder_cost clip=ViT-B32 resnet=resnet50 batch=16 resolution=256

The settings are those of train.py (clip, resnet, batch, resolution, device, ...), which `python train.py --help` lists.
The command prints a table with a row for each encoder and precision: milliseconds for an image, forward and with the
gradient to the image, and the memory.
"""

import sys
import time
from collections.abc import Callable

import torch
from rich.table import Table
from torchvision.models import resnet50

from clipgan.base.console import console, track
from clipgan.base.device import choose_device
from clipgan.base.memory import measure_peak_from_now, peak_memory
from clipgan.config import ClipConfig, Config, ResNetConfig
from clipgan.config.command_line import compose_config, helped, messages_not_tracebacks
from clipgan.inputs.encoders.clip import FrozenClip, choose_preprocess
from clipgan.inputs.encoders.resnet import DEFAULT_WEIGHTS, FrozenResNet, freeze_resnet50
from clipgan.inputs.encoders.tiny.tiny_clip import build_clip, register_tiny_model
from clipgan.inputs.encoders.tiny.tiny_resnet import TinyResNet, tiny_resnet_preprocess

PRECISIONS = ("float32", "bfloat16")
REPEATS = 3


def random_clip(config: ClipConfig, precision: str) -> FrozenClip:
    """Build the configured architecture with random weights."""
    register_tiny_model()
    preprocess, again = choose_preprocess(config), config.grad_checkpointing
    return FrozenClip(build_clip(config.model), config.model, preprocess, precision, grad_checkpointing=again)


def random_resnet(config: ResNetConfig, precision: str) -> FrozenResNet:
    """Build the configured architecture with random weights."""
    if config.train is None:
        return freeze_resnet50(resnet50(), DEFAULT_WEIGHTS, precision)
    network = TinyResNet()
    return FrozenResNet(network, tiny_resnet_preprocess(), network.dim, {"name": "tiny"}, precision)


def milliseconds(encoder: FrozenClip | FrozenResNet, images: torch.Tensor, backward: bool) -> float:
    """Return the median time of `encode_image` for one image, in ms.

    Args:
        encoder: the encoder.
        images: float32 [N, 3, R, R] in [-1, 1].
        backward: whether to include the gradient with respect to the images.
    """
    seconds = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        inputs = images.clone().requires_grad_(backward)
        with torch.set_grad_enabled(backward):
            features = encoder.encode_image(inputs)
        if backward:
            torch.autograd.grad(features[:, 0].sum(), inputs)
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)
        seconds.append(time.perf_counter() - start)
    return 1000 * sorted(seconds[1:])[REPEATS // 2] / len(images)  # the first repeat is warmup


def report(config: Config) -> Table:
    """Make a table with a row for each encoder and precision."""
    device = choose_device(config.device)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    where = f"{torch.get_num_threads()} CPU threads" if device.type == "cpu" else str(device)
    table = Table(title=f"ms per image: batch {config.batch}, {config.resolution} pixels, {where}")
    for column in ("encoder", "precision", "forward", "with gradient", "peak, MB"):
        table.add_column(column, justify="left" if column == "encoder" else "right")
    builders: tuple[tuple[str, Callable[[str], FrozenClip | FrozenResNet]], ...] = (
        (f"resnet={config.resnet.name}", lambda precision: random_resnet(config.resnet, precision)),
        (f"clip={config.clip.name}", lambda precision: random_clip(config.clip, precision)),
    )
    images = torch.rand(config.batch, 3, config.resolution, config.resolution, device=device) * 2 - 1
    rows = [(name, build, precision) for name, build in builders for precision in PRECISIONS]
    console.print(
        f"timing {len(rows)} encoders with {1 + REPEATS} repeats each, forward and with gradient", markup=False
    )
    for name, build, precision in track(rows, "timing the encoders", len(rows)):
        measure_peak_from_now(device)
        forward, both = both_ways(build(precision).to(device), images)
        table.add_row(name, precision, f"{forward:.1f}", f"{both:.1f}", f"{1000 * peak_memory(device):.0f}")
    return table


def both_ways(encoder: FrozenClip | FrozenResNet, images: torch.Tensor) -> tuple[float, float]:
    """Time an encoder without and with the gradient; see `milliseconds`."""
    return milliseconds(encoder, images, backward=False), milliseconds(encoder, images, backward=True)


def main() -> None:
    """Print the table for the encoders that the command line's overrides name."""
    if helped(__doc__):
        return
    with messages_not_tracebacks():
        console.print(report(compose_config(sys.argv[1:])))


if __name__ == "__main__":
    main()
