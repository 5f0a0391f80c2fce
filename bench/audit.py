"""Audit the metrics: the value of each for pictures with a known fault.

Every picture is drawn for a held-out caption of the shapes set, so that its fault is known. The first row has none: its
pictures are real ones of the same captions with other places and sizes. Prints the table of docs/metrics.md; overrides
as for train.py:

    python -m bench.audit
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bench.measuring import arguments, show, write
from clipgan.base.device import choose_device
from clipgan.config import Config
from clipgan.config.command_line import compose_config, messages_not_tracebacks
from clipgan.inputs.data.shapes import Scene, render, swap_attribute
from clipgan.inputs.data.shapes_captions import parse_caption, scene_of
from clipgan.metrics.evaluation import Evaluation
from clipgan.tasks.gan.preparation import prepare

Change = Callable[[Scene, np.random.Generator], Scene]
SIGMA = 1.0  # pixels of the blur
FIGURES = ("accuracy", "r_precision100", "r_precision_hard", "clip_score", "fid", "kid", "precision", "recall", "fjd",
           "diversity")  # fmt: skip


@messages_not_tracebacks()
def main() -> None:
    """Measure each row and print the table."""
    _, overrides = arguments(__doc__)
    config = compose_config(["data=shapes", "loss=lafite", *overrides])  # lafite needs no ResNet
    table = audit(config, ROWS)
    show(("pictures", *FIGURES), ((row, *(f"{values[name]:.3g}" for name in FIGURES)) for row, values in table.items()))
    write("audit", rows=table)


def audit(config: Config, names: Mapping[str, tuple[Change, bool]]) -> dict[str, dict[str, float]]:
    """Measure pictures with each fault: row -> figure -> value.

    Args:
        config: a run on drawn shapes; its data, judge and metrics are used.
        names: some of `ROWS`.
    """
    device = choose_device(config.device)
    prepared = prepare(config, device)
    evaluation = Evaluation(
        config, prepared.data, prepared.features, prepared.judge, prepared.clip, prepared.cache_dir, device
    )
    captions = evaluation.prompts.captions
    assert captions is not None
    found = {}
    for name, (change, one_picture) in names.items():
        blurred = name.startswith("blurred")
        values = evaluation.of_pictures(
            lambda draw, change=change, same=one_picture, blurred=blurred: pictures(
                captions, 0 if same else draw, change, config.resolution, blurred
            )
        )
        found[name] = {figure: value for figure in FIGURES for key, value in values.items() if is_figure(key, figure)}
    return found


def is_figure(key: str, figure: str) -> bool:
    """Whether a metric's name is that of a figure: `fid2k_clip_tiny64` of `fid`, but not its standard deviation."""
    rest = key.removeprefix(figure)
    return (
        key.startswith(figure) and not key.endswith("_sd") and (rest == "" or rest[0].isdigit() or rest[:5] == "_clip")
    )


def pictures(captions: list[str], draw: int, change: Change, resolution: int, blurred: bool) -> Tensor:
    """Draw a picture for each caption, with a fault: uint8 [N, 3, R, R]; a draw gives the same pictures."""
    rng = np.random.default_rng([draw, 0x61756469])
    scenes = [change(scene_of(parse_caption(caption), rng), rng) for caption in captions]
    images = torch.from_numpy(np.stack([render(scene, resolution) for scene in scenes]).transpose(0, 3, 1, 2).copy())
    return blur(images) if blurred else images


def blur(images: Tensor) -> Tensor:
    """Blur uint8 images [N, 3, R, R] by a Gaussian."""
    at = torch.arange(-3, 4)
    kernel = torch.exp(-(at**2) / (2 * SIGMA**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = torch.nn.functional.pad(images.float(), (3, 3, 3, 3), mode="replicate")
    rows = torch.nn.functional.conv2d(padded, kernel, groups=3)
    return torch.nn.functional.conv2d(rows, kernel.transpose(2, 3), groups=3).round().to(torch.uint8)


def same(scene: Scene, rng: np.random.Generator) -> Scene:
    """Change nothing."""
    return scene


def circles(scene: Scene, rng: np.random.Generator) -> Scene:
    """Draw every object as a circle."""
    return replace(scene, things=tuple(replace(thing, shape="circle") for thing in scene.things))


def centred(scene: Scene, rng: np.random.Generator) -> Scene:
    """Draw every object at the same place and of the same exact size."""
    return replace(scene, things=tuple(replace(thing, jitter=(0.0, 0.0, 0.0)) for thing in scene.things))


def wrong(share: float) -> Change:
    """Swap one attribute in a share of the pictures."""

    def change(scene: Scene, rng: np.random.Generator) -> Scene:
        return swap_attribute(scene, rng)[0] if rng.random() < share else scene

    return change


ROWS: dict[str, tuple[Change, bool]] = {  # row -> fault, and whether all pictures of a caption are the same
    "real": (same, False),
    "all shapes are circles": (circles, False),
    "one attribute wrong in 10 %": (wrong(0.1), False),
    "one attribute wrong in 50 %": (wrong(0.5), False),
    "one attribute wrong in 100 %": (wrong(1.0), False),
    "one picture for each caption": (same, True),
    "one place and size for each caption": (centred, True),
    "blurred (sigma 1 pixel)": (same, False),
}


if __name__ == "__main__":
    main()
