"""Pretrain an encoder in epochs; at each snapshot, a linear classifier, k-NN and fine-tuning measure it."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clipgan.base.cache import cache_dir_of
from clipgan.base.console import console
from clipgan.base.text import shown_path
from clipgan.config import Config
from clipgan.config.arguments import quoted
from clipgan.engine.checkpoint_folder import check_resumption
from clipgan.engine.precision import choose_encoder_precision
from clipgan.engine.result import Report
from clipgan.engine.run import Run
from clipgan.engine.same_run import check_data
from clipgan.engine.schedule import Schedule
from clipgan.inputs.data.labels import Labels, load_labels, require_classes
from clipgan.inputs.data.loading import load_data
from clipgan.inputs.data.pack import PackedData
from clipgan.inputs.data.summary import report_files
from clipgan.inputs.encoders.clip import FrozenClip, load_clip
from clipgan.inputs.encoders.trained_activation import say_activation
from clipgan.inputs.encoders.weights import check_weights
from clipgan.inputs.features.feature_cache import SplitFeatures, load_features
from clipgan.models.networks.cost import parameter_count
from clipgan.tasks.simclr.batches import ImageBatches
from clipgan.tasks.simclr.evaluation import OBJECTIVE, Evaluation
from clipgan.tasks.simclr.few_labels import labelled_images
from clipgan.tasks.simclr.neighbours import share_of_right_neighbours
from clipgan.tasks.simclr.state import new_state
from clipgan.tasks.simclr.step import Method, train_step
from clipgan.tracking.log import Log
from clipgan.tracking.run_description import Origin

SEEN_AS_VIEWS = ("drop_false_positive",)  # it compares the two views of an image; the cache has no views


@dataclass(frozen=True)
class Pretrainable:
    """Data, labels, CLIP and features of a run."""

    data: PackedData
    labels: Labels
    clip: FrozenClip | None  # None if no pair needs it
    features: SplitFeatures | None  # of the training images; None if not needed


def prepare_pretraining(config: Config, device: torch.device, run_dir: Path | None = None) -> Pretrainable:
    """Load data, CLIP and features, after computing everything that the cache lacks.

    Args:
        config: of the run.
        device: where CLIP computes.
        run_dir: where the run may go on from a checkpoint; None: it does not.

    Raises:
        UserError: data or weights are missing or do not fit.
    """
    assert config.simclr is not None
    check_weights({"clip.checkpoint": config.clip.checkpoint})
    check_resumption(config)
    cache_dir = cache_dir_of(config.cache_dir)
    require_classes(config.data.name)
    data = load_data(config.data, config.resolution, cache_dir)
    report_files(data)
    if run_dir is not None:
        check_data(config, run_dir, data.sources)
    labels = load_labels(data, config.simclr.classes)
    labelled_images(config, labels)  # refuse a share that does not fit before an encoder is trained
    if config.pairs.name == "plain":
        return Pretrainable(data, labels, None, None)
    clip = load_clip(config.clip, data, cache_dir, device)
    say_activation(config.clip)
    features = None if sees_views(config) else load_features(data, clip, None, config.resnet.ridge, cache_dir, device)
    clip.start_steps(choose_encoder_precision(config.clip.precision, device))
    return Pretrainable(data, labels, clip, None if features is None else features.train)


def sees_views(config: Config) -> bool:
    """Whether CLIP embeds the augmented views in each step, instead of the images once."""
    return config.pairs.name in SEEN_AS_VIEWS or (config.pairs.name != "plain" and config.features == "online")


def compared_by(config: Config, features: SplitFeatures) -> np.ndarray:
    """Return CLIP's features of each training image, or of its first caption: [N, C]."""
    if config.pairs.similarity == "text":
        return features.clip_text[features.caption_start[:-1]]
    return features.clip_image[0]


class Pretraining(Run):
    """One run of SimCLR."""

    key, maximised, best_counts = OBJECTIVE, True, False

    def __init__(
        self, config: Config, run_dir: Path, ready: Pretrainable, device: torch.device, report: Report | None
    ) -> None:
        assert config.simclr is not None
        assert config.epochs is not None
        assert config.snapshot_epochs is not None
        features = None if ready.features is None else compared_by(config, ready.features)
        self.batches = ImageBatches(ready.data.train, features, config.batch, config.seed, device)
        schedule = Schedule("epoch", config.epochs, config.snapshot_epochs, Fraction(1, self.batches.per_epoch))
        super().__init__(config, run_dir, device, report, schedule)
        self.labels = ready.labels
        self.state = new_state(config, device)
        online = ready.clip if sees_views(config) else None
        self.method = Method(config, config.simclr, ready.data.x_flip, schedule.total_steps, online)
        self.evaluation = Evaluation(config, ready.data, ready.labels, self.state.precision)
        self.names = {name: name for name in self.evaluation.further}
        self.clip = ready.clip
        self.sources = {  # fingerprints of files; the configuration has only their names
            **ready.data.sources,
            "clip.key": None if ready.clip is None else ready.clip.key,
        }

    def announce(self) -> None:
        """Print the classes and the steps of an epoch."""
        classes = self.labels.classes
        some = ", ".join(classes[:3])
        console.print(f"{len(classes)} classes ({some}, ...), {self.batches.per_epoch} steps an epoch")

    def params(self) -> dict[str, Any]:
        """The size of the network, and the number of classes."""
        return {
            "parameters/encoder": parameter_count(self.state.network.encoder),
            "parameters/head": parameter_count(self.state.network.head),
            "n_classes": len(self.labels.classes),
        }

    def first_values(self) -> dict[str, float]:
        """Measure how often an image's nearest other image, by CLIP, has its class; only with cached features."""
        return share_of_right_neighbours(self.batches, self.labels)

    def step(self, step: int) -> dict[str, Tensor]:
        """See `train_step`."""
        return train_step(self.state, self.batches.at(step), self.method, step)

    def measure(self, units: int, last: bool) -> dict[str, float]:
        """Measure linear and k-NN accuracy, and accuracy after fine-tuning if it is due."""
        return self.evaluation(self.state.network.encoder, last)

    def record(self) -> dict[str, Any]:
        """Describe the CLIP, if the run uses one, and the classes."""
        return {"clip": self.clip.record() if self.clip else None, "classes": self.labels.classes}

    def finish(self, log: Log) -> None:
        """Do nothing: a GAN takes the encoder from the checkpoint."""

    def further(self, origin: Origin) -> list[tuple[str, str]]:
        """List commands that use the encoder."""
        assert self.checkpoints.last is not None
        if origin.command.run_dir is None:
            return []
        run = "resnet.run=latest"
        if not self.config.mlflow.tracking_uri:
            run = f"resnet.checkpoint={quoted(str(shown_path(self.checkpoints.last)))}"
        shared = ("data", "resolution", "cache_dir", "mlflow", "device", "threads")
        pairs = origin.command.sweep("task=simclr", "pairs=plain,add_new_positive")
        return [
            (origin.command.other(shared, "resnet=simclr", run), "train a GAN with it as its ResNet space"),
            (pairs, "measure in a sweep what CLIP's help gains"),
        ]


def prepare_run(
    config: Config, run_dir: Path, device: torch.device, report: Report | None
) -> Callable[[], Pretraining]:
    """Fill the cache for a pretraining, and return the function that makes the run.

    Raises:
        UserError: data or weights are missing or do not fit.
    """
    ready = prepare_pretraining(config, device, run_dir)
    return lambda: Pretraining(config, run_dir, ready, device, report)
