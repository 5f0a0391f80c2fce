"""Compare the preparation with a plain open_clip loop, in images per second: open, transform, encode in float32.

Both read the same drawn JPEGs and encode each once, unmirrored, with random weights of the chosen architecture. The
preparation also packs them at `resolution`, looks for duplicates and writes checksums. They take turns in one process.
The bench prints medians, and the median of the rounds' ratios. As they take turns, the ratio needs fewer rounds than
the images per second do. These are the defaults; other overrides as for train.py; it writes runs/bench/prepare.json:

    python -m bench.prepare photos=150 width=640 height=480 rounds=3 clip=ViT-B32 resolution=256
"""

import os
import shutil
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

from bench.measuring import FOLDER, Action, arguments, in_turns, ratio, show, write
from clipgan.base.cache import cache_entry
from clipgan.base.console import track
from clipgan.base.device import choose_device
from clipgan.config import Config, DataConfig
from clipgan.config.command_line import compose_config, messages_not_tracebacks
from clipgan.encoder_cost import random_clip
from clipgan.inputs.data.loading import load_data
from clipgan.inputs.encoders.clip import FrozenClip, choose_preprocess
from clipgan.inputs.encoders.preprocess import Preprocess
from clipgan.inputs.encoders.tiny.tiny_clip import build_clip
from clipgan.inputs.features.encoding import write_image_features

PLACE = FOLDER / "prepare"
BATCHES = (16, 64)
DISTINCT = 2000  # different photos; further ones are links to the same files


@messages_not_tracebacks()
def main() -> None:
    """Measure, print, write."""
    options, overrides = arguments(__doc__, photos=150, width=640, height=480, rounds=3)
    count, size = options["photos"], (options["width"], options["height"])
    config = compose_config(["clip=ViT-B32", "resolution=256", *overrides])
    device = choose_device(config.device)
    photos = draw_photos(PLACE / f"photos-{count}-{size[0]}x{size[1]}", count, *size)
    encoder = random_clip(config.clip, config.clip.precision).to(device)
    model = build_clip(config.clip.model).to(device).eval()
    loops: dict[str, Action] = {
        f"plain loop, batch {batch}": partial(plain_loop, model, choose_preprocess(config.clip), photos, batch, device)
        for batch in BATCHES
    }
    ours = {f"clipgan, {config.clip.precision}": partial(preparation, encoder, photos, config, device)}
    times = in_turns(loops | ours, options["rounds"])
    speeds = {name: count / statistics.median(own) for name, own in times.items()}
    ratios = {name: [ratio(times[loop], own) for loop in loops] for name, own in times.items()}
    show(
        ("", "images/s", *(f"ratio to batch {batch}" for batch in BATCHES)),
        ((name, f"{speeds[name]:.1f}", *(f"{value:.2f}" for value in ratios[name])) for name in times),
        f"{count} photos of {size[0]} x {size[1]}, {config.clip.name}, packed at {config.resolution} pixels, {device}",
    )
    write("prepare", images_a_second=speeds, ratios=ratios)


def draw_photos(folder: Path, count: int, width: int, height: int) -> Path:
    """Draw JPEGs of smooth colours with noise, with about as many bytes as photos of this size."""
    if len(list(folder.glob("*.jpg"))) == count:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    noise = random.integers(-12, 13, (height, width, 3))
    for number in track(range(count), "drawing photos", count):
        path = folder / f"{number:06d}.jpg"
        if number >= DISTINCT:
            os.link(folder / f"{number % DISTINCT:06d}.jpg", path)
            continue
        coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int64)
        pixels = (smooth + np.roll(noise, number, axis=0)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path, quality=90)
    return folder


@torch.no_grad()
def plain_loop(model: Any, wanted: Preprocess, photos: Path, batch: int, device: torch.device) -> None:
    """Encode in the simplest way: open_clip's model and its own transform, one batch after the other."""
    mean, std = wanted.mean.flatten().tolist(), wanted.std.flatten().tolist()
    transform = open_clip.image_transform(wanted.size, is_train=False, mean=mean, std=std)
    paths = sorted(photos.glob("*.jpg"))
    rows = []
    for start in range(0, len(paths), batch):
        images = torch.stack([transform(Image.open(path)) for path in paths[start : start + batch]])
        rows.append(model.encode_image(images.to(device), normalize=True).cpu())
    np.save(photos.parent / "plain.npy", torch.cat(rows).numpy())


def preparation(frozen: FrozenClip, photos: Path, config: Config, device: torch.device) -> None:
    """Pack and encode, as `python -m clipgan.prepare` does, into an empty cache."""
    cache = PLACE / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    data = load_data(DataConfig(name="folder", path=str(photos), x_flip=False), config.resolution, cache)
    cache_entry(
        cache, "features", {"encoder": frozen.key},
        lambda to: write_image_features(to, data, frozen, "CLIP", device, given={}), resumable=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
