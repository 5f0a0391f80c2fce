"""Trainings to measure. Large encoders have random weights, and images are noise: all is made in memory at once."""

import functools
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.gpu.findings import Setting
from bench.measuring import device_of, new_training
from clipgan.config import MEASURES, ClipConfig, Config, ResNetConfig
from clipgan.config.command_line import compose_config
from clipgan.encoder_cost import random_clip, random_resnet
from clipgan.engine.precision import with_precisions
from clipgan.inputs.batches.batches import Batch
from clipgan.inputs.data.pack import PackedData, Split
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.encoders.resnet import FrozenResNet
from clipgan.inputs.features.feature_cache import Features, SplitFeatures
from clipgan.models.losses.structure import active_terms
from clipgan.tasks.gan.preparation import Prepared, prepare
from clipgan.tasks.gan.training import Training

GRAPHS = {"eager": ["graphs=off"], "graphs": ["graphs=auto"]}  # the ways to run a step, and their overrides
TRAIN, HELDOUT = 64, 64  # images of noise; a step's time does not depend on their number


class OnDevice:
    """A source whose every batch is the same one, which lies on the device."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def at(self, step: int) -> Batch:
        """Return the batch."""
        del step
        return self.batch


def real_training(setting: Setting, *overrides: str, prepared: Prepared | None = None) -> Training:
    """Make a training on the drawn shapes, with the small encoders of the cache."""
    return new_training(composed(setting, *overrides), setting.folder, prepared)


def prepared_for(setting: Setting, *overrides: str) -> Prepared:
    """Prepare data, encoders and features for `real_training`; trainings that differ in neither can share them."""
    config = composed(setting, *overrides)
    return prepare(config, device_of(config))


def composed(setting: Setting, *overrides: str) -> Config:
    """Compose a training's configuration, and choose its precisions for the device."""
    config = compose_config(setting.overrides(*overrides))
    return with_precisions(config, device_of(config))


def noise_training(setting: Setting, *overrides: str, heldout: int = HELDOUT) -> Training:
    """Make a training on images of noise, with encoders of random weights. Its batch lies on the device."""
    measured = [] if any(word.startswith("metrics=") for word in overrides) else [
        f"metrics.n_images={HELDOUT}", *(f"metrics.{name}=never" for name in MEASURES)
    ]  # fmt: skip
    config = composed(setting, *measured, *overrides)
    training = new_training(config, setting.folder, noise(config, setting.folder / "noise", heldout))
    training.batches = OnDevice(training.batches.at(0))
    return training


def noise(config: Config, cache_dir: Path, heldout: int = HELDOUT) -> Prepared:
    """Make data, encoders and features of the configured sizes.

    Args:
        config: the training.
        cache_dir: for the features of the held-out images.
        heldout: number of held-out images.
    """
    device = device_of(config)
    with_resnet = any(term.space == "ResNet" for term in active_terms(config))
    clip = _clip(_key(config.clip), device)
    resnet = _resnet(_key(config.resnet), device) if with_resnet else None
    random = np.random.default_rng(0)
    data: dict[str, Any] = {}
    features: dict[str, Any] = {}
    for name, count in (("train", max(TRAIN, 2 * config.batch)), ("heldout", heldout)):
        images = random.integers(0, 256, (count, 3, config.resolution, config.resolution), dtype=np.uint8)
        data[name] = Split(images, [["a picture of noise"]] * count)
        features[name] = SplitFeatures(
            np.arange(count + 1), _unit(random, count, clip.dim), _unit(random, 2, count, clip.dim),
            _unit(random, 2, count, resnet.dim) if resnet else None,
        )  # fmt: skip
    ridge = None
    if resnet is not None:
        weights = random.standard_normal((clip.dim, resnet.dim), dtype=np.float32) / clip.dim**0.5
        ridge = torch.from_numpy(weights).to(device)
    return Prepared(
        data=PackedData("noise", f"noise-{config.resolution}-{heldout}", x_flip=True, skipped=[],
                        skipped_file=cache_dir / "skipped.txt", **data),
        clip=clip, resnet=resnet, features=Features(**features, text_to_resnet=ridge, text_to_resnet_r2=None),
        judge=_clip(_key(config.metrics.judge), device) if config.metrics.judge else None, cache_dir=cache_dir,
    )  # fmt: skip


def graphs_in_use(training: Training) -> str:
    """Say how the training's steps run: `eager`, `graphs` if each kind is repeated, or why graphs failed."""
    graphs = training.graphs
    if graphs is None:
        return "eager"
    if graphs.failure:
        return f"eager: {graphs.failure}"
    kinds = graphs._variants.values()
    repeated = sum(kind.replay is not None for kind in kinds)
    return "graphs" if repeated == len(kinds) else f"graphs of {repeated} of {len(kinds)} kinds"


def _unit(random: np.random.Generator, *shape: int) -> np.ndarray:
    rows = random.standard_normal(shape, dtype=np.float32)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float16)


def _key(config: Any) -> tuple[type, tuple[tuple[str, Any], ...]]:
    """Make an encoder's configuration hashable: trainings share frozen encoders."""
    plain = replace(config, train=None, checkpoint="random weights") if config.train is None else config
    return type(config), tuple(
        (field.name, value if isinstance(value := getattr(plain, field.name), str | int | float | None) else True)
        for field in fields(plain)
    )


@functools.lru_cache(maxsize=2)  # the guide and the judge
def _clip(key: tuple[type, tuple[tuple[str, Any], ...]], device: torch.device) -> FrozenClip:
    config = ClipConfig(**dict(key[1]))
    with torch.device(device):  # initialising a large network on the CPU takes seconds
        clip = random_clip(config, config.precision).to(device)
    clip.start_steps(config.precision)
    return clip


@functools.lru_cache(maxsize=1)
def _resnet(key: tuple[type, tuple[tuple[str, Any], ...]], device: torch.device) -> FrozenResNet:
    config = ResNetConfig(**dict(key[1]))
    with torch.device(device):
        resnet = random_resnet(config, config.precision).to(device)
    resnet.start_steps(config.precision)
    return resnet
