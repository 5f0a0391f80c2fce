"""Everything that runs share: packed data, frozen encoders, cached features. Also a command of its own:

python -m clipgan.prepare data=emoji resolution=64
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from clipgan.batches import check_batch_size
from clipgan.cache import cache_dir_of
from clipgan.command import compose_config, messages_not_tracebacks
from clipgan.config import Config
from clipgan.data import load_data
from clipgan.data.pack import SPLITS, PackedData
from clipgan.encoders.clip import FrozenClip, load_clip
from clipgan.encoders.resnet import FrozenResNet, load_resnet
from clipgan.encoders.side_by_side import train_side_by_side
from clipgan.errors import UserError
from clipgan.features import Features, load_features
from clipgan.losses.structure import active_terms
from clipgan.metrics.inception import find_inception_weights
from clipgan.metrics.protocol import split_of
from clipgan.progress import console


@dataclass(frozen=True)
class Prepared:
    """What training takes from the cache."""

    data: PackedData
    clip: FrozenClip
    resnet: FrozenResNet | None  # None where no term needs it
    features: Features
    judge: FrozenClip | None  # None where no CLIP judges
    cache_dir: Path


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one.

    Raises:
        UserError: an unknown device, or one that this machine lacks.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device={name} is not allowed: device must be auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device={name} is not here: this machine has {torch.cuda.device_count()} CUDA devices")
    return device


def check_files(config: Config) -> None:
    """Find missing files in the first second, not after an hour.

    Raises:
        UserError: a file that the configuration names does not exist.
    """
    judge = config.metrics.judge
    check_weights({
        "clip.checkpoint": config.clip.checkpoint,
        "resnet.checkpoint": config.resnet.checkpoint,
        "metrics.judge.checkpoint": judge.checkpoint if judge else None,
    })  # fmt: skip
    if config.metrics.extractor == "inception":
        find_inception_weights(config.metrics.inception_weights)
    check_resumption(config)


def check_weights(files: Mapping[str, str | None]) -> None:
    """
    Raises:
        UserError: a file is missing; names its key.
    """
    for key, path in files.items():
        if path is not None and not Path(path).is_file():
            raise UserError(f"{key}={path} does not exist; give a file with the weights")


def check_resumption(config: Config) -> None:
    """
    Raises:
        UserError: the checkpoint to go on from is missing.
    """
    if config.resume not in ("auto", "none") and not Path(config.resume).is_file():
        raise UserError(f"resume={config.resume} does not exist; give a checkpoint file, auto or none")


def report_files(data: PackedData) -> None:
    """Say which files were left out and which images are there twice."""
    for lines, what in ((data.skipped, "skipped"), (data.duplicates, "repeated")):
        if lines:
            rest = f"; all of them in {data.skipped_file.parent}/*.txt" if len(lines) > 3 else ""
            console.print(f"data: {len(lines)} files {what}: {'; '.join(lines[:3])}{rest}", markup=False)


def check_captions(config: Config, data: PackedData) -> None:
    """Say what cannot be measured without captions.

    Raises:
        UserError: the run or a CLIP that trains would need captions, or their words, that are not there.
    """
    bare = [name for name in SPLITS if not any(getattr(data, name).captions)]
    captioned = "train" not in bare
    if bare and config.condition.language_free < 1:
        raise UserError(
            f"data={data.name} has no captions ({' and '.join(bare)} images): put them into a text file beside each "
            "image (NAME.txt, one a line), "
            "or train without any: condition=language_free"
        )
    measures = [f"metrics.{key}" for key in ("clip_score", "r_precision") if getattr(config.metrics, key) != "never"]
    if split_of(config) in bare and measures:
        console.print(f"data={data.name} has no captions of {split_of(config)} images: {' and '.join(measures)} cannot "
                      "be measured, and are left out")  # fmt: skip
    stored = [split.stored for split in (data.train, data.heldout) if split.stored is not None]
    has_words = captioned and all(features.has_words for features in stored)
    what = "words to train a small CLIP on, only features of captions" if captioned else "captions to train it on"
    if config.clip.checkpoint is None and config.clip.train is not None and not has_words:
        raise UserError(
            f"clip={config.clip.name} cannot be trained: data={data.name} has no {what}; "
            "choose another (clip=ViT-B32), or give its weights with clip.checkpoint=FILE"
        )
    judge = config.metrics.judge
    if judge is not None and judge.checkpoint is None and judge.train is not None and not has_words:
        raise UserError(
            f"metrics={config.metrics.name} cannot train its judge, a small CLIP: data={data.name} has no {what}; "
            "choose metrics=fid5k, or give its weights with metrics.judge.checkpoint=FILE"
        )


def prepare(config: Config, device: torch.device) -> Prepared:
    """Load what the run needs, making first what the cache does not have.

    Raises:
        UserError: data or weights are missing or do not fit.
    """
    check_files(config)
    cache_dir = cache_dir_of(config.cache_dir)
    data = load_data(config.data, config.resolution, cache_dir)
    report_files(data)
    check_captions(config, data)
    check_batch_size(config, data.train)
    needs_resnet = any(term.space == "ResNet" for term in active_terms(config))
    judging = config.metrics.judge
    # what is only loaded comes before what trains, so that a missing file is known at once
    trains = {
        "clip": config.clip.train if config.clip.checkpoint is None else None,
        "judge": judging.train if judging and judging.checkpoint is None else None,
        "resnet": config.resnet.train if config.resnet.checkpoint is None and needs_resnet else None,
    }
    loaded_clip = None if trains["clip"] else load_clip(config.clip, data, cache_dir, device)
    loaded_resnet = None
    if needs_resnet and not trains["resnet"]:
        loaded_resnet = _load_resnet(config, data, cache_dir, device)
    wanted = [training for training in trains.values() if training is not None]
    train_side_by_side(wanted, config.data, config.resolution, cache_dir, device)
    clip = loaded_clip or load_clip(config.clip, data, cache_dir, device)
    resnet = loaded_resnet or (_load_resnet(config, data, cache_dir, device) if needs_resnet else None)
    features = load_features(
        data,
        clip,
        resnet,
        config.resnet.ridge,
        cache_dir,
        device,
        pseudo_text=config.condition.image_noise if config.condition.language_free == 1 else None,
    )
    judge = None if judging is None else load_clip(judging, data, cache_dir, device)
    if judge is not None and judge.weights == clip.weights:
        console.print(
            "metrics.judge: the CLIP that judges is the one that guides, and every figure of its says so (_self); "
            "give it another seed (metrics.judge.train.seed), or another backbone (clip@metrics.judge=NAME)"
        )
    return Prepared(data, clip, resnet, features, judge, cache_dir)


def _load_resnet(config: Config, data: PackedData, cache_dir: Path, device: torch.device) -> FrozenResNet:
    if config.resnet.name != "simclr":
        return load_resnet(config.resnet, data, cache_dir, device)
    from clipgan.simclr.pretrained import load_pretrained, pretrained_file  # most runs do without

    return load_pretrained(pretrained_file(config.resnet, config.mlflow), config.resnet.precision).to(device)


def main() -> None:
    """Prepare what the command line's overrides need."""
    with messages_not_tracebacks():
        config = compose_config(sys.argv[1:])
        device = choose_device(config.device)
        if config.simclr is not None:
            from clipgan.simclr.loop import prepare_pretraining  # which takes from this module

            data = prepare_pretraining(config, device).data
        else:
            data = prepare(config, device).data
        console.print(f"{data.name}: {len(data.train)} training and {len(data.heldout)} held-out images, ready")


if __name__ == "__main__":
    main()
