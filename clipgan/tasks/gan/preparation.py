"""Prepare a GAN's training: packed data, frozen encoders, cached features."""

from dataclasses import dataclass
from pathlib import Path

import torch

from clipgan.base.cache import cache_dir_of
from clipgan.base.console import console
from clipgan.config import GUIDE, ConditionConfig, Config
from clipgan.engine.precision import choose_encoder_precision
from clipgan.engine.same_run import check_data
from clipgan.inputs.batches.batches import check_batch_size
from clipgan.inputs.data.loading import load_data
from clipgan.inputs.data.pack import PackedData
from clipgan.inputs.data.summary import report_files
from clipgan.inputs.encoders.clip import FrozenClip, load_clip
from clipgan.inputs.encoders.frozen import FrozenEncoder
from clipgan.inputs.encoders.frozen_layers import FrozenLayers
from clipgan.inputs.encoders.resnet import FrozenResNet, load_resnet
from clipgan.inputs.encoders.tiny.side_by_side import train_side_by_side
from clipgan.inputs.encoders.trained_activation import say_activation
from clipgan.inputs.features.feature_cache import Features, load_features
from clipgan.models.losses.structure import active_terms
from clipgan.tasks.gan.early_checks import check_captions, check_files, check_measures
from clipgan.tasks.simclr.pretrained import Pretrained, find_pretrained, load_pretrained


@dataclass(frozen=True)
class Prepared:
    """Data, encoders and features of a run."""

    data: PackedData
    clip: FrozenClip
    resnet: FrozenResNet | None  # None if no term needs it
    features: Features
    judge: FrozenClip | None  # None if no CLIP judges
    cache_dir: Path
    frozen: FrozenLayers | None = None  # the layers that a projected D reads
    pretrained: Pretrained | None = None  # where the ResNet comes from with resnet=simclr

    @property
    def sources(self) -> dict[str, str | None]:
        """Fingerprints of the data and the encoders; the configuration has only the names of their files."""
        return {
            **self.data.sources,
            "clip.key": self.clip.key,
            "judge.key": self.judge.key if self.judge else None,
            "resnet.key": self.resnet.key if self.resnet else None,
            "discriminator.key": self.frozen.key if self.frozen else None,
        }


def reads_no_caption(condition: ConditionConfig) -> bool:
    """Whether a training reads no caption of any image."""
    return condition.language_free == 1 and condition.pseudo_text == "noise"


def prepare(config: Config, device: torch.device, run_dir: Path | None = None) -> Prepared:
    """Load data, encoders and features, after computing everything that the cache lacks.

    Args:
        config: of the run.
        device: where the encoders compute.
        run_dir: where the run may go on from a checkpoint; None: it does not.

    Raises:
        UserError: data or weights are missing or do not fit.
    """
    check_files(config, device)
    needs_resnet = any(term.space == "ResNet" for term in active_terms(config))
    pretrained = find_pretrained(config, run_dir) if needs_resnet and config.resnet.name == "simclr" else None
    own = _load_own_layers(config, device)  # before the data, so that a user learns of a mistake at once
    cache_dir = cache_dir_of(config.cache_dir)
    data = load_data(config.data, config.resolution, cache_dir)
    report_files(data)
    if run_dir is not None:
        check_data(config, run_dir, data.sources)
    check_captions(config, data)
    check_batch_size(config, data.train)
    if run_dir is not None:  # a training, which measures what is due
        check_measures(config, data)
    clip, resnet = _load_guides(config, needs_resnet, pretrained, data, cache_dir, device)
    condition = config.condition
    pseudo_text = condition.length(condition.image_noise) if reads_no_caption(condition) else None
    features = load_features(data, clip, resnet, config.resnet.ridge, cache_dir, device, pseudo_text)
    clip.start_steps(choose_encoder_precision(config.clip.precision, device))
    if resnet is not None:
        resnet.start_steps(choose_encoder_precision(config.resnet.precision, device))
    judging = config.metrics.judge
    judge = None if judging is None else load_clip(judging, data, cache_dir, device)
    if judging is not None:
        say_activation(judging, "metrics.judge")
    if judge is not None and judge.weights == clip.weights:
        console.print(
            "metrics.judge: the judge CLIP is also the guide, so its metrics have _self in their names; "
            "give it another seed (metrics.judge.train.seed), or another backbone (clip@metrics.judge=NAME)"
        )
    guide = config.discriminator.network == GUIDE
    frozen = FrozenLayers(clip, f"clip={config.clip.name}", config.discriminator.layers) if guide else own
    return Prepared(data, clip, resnet, features, judge, cache_dir, frozen, pretrained)


def _load_guides(
    config: Config,
    needs_resnet: bool,
    pretrained: Pretrained | None,
    data: PackedData,
    cache_dir: Path,
    device: torch.device,
) -> tuple[FrozenClip, FrozenResNet | None]:
    """Load the CLIP and the ResNet that guide the training, after training those that are trained on the data.

    The judge, which is loaded later, is trained beside them. Encoders that need no training are loaded before others
    are trained, so that a missing file is reported at once.
    """
    judge, clip, resnet = config.metrics.judge, config.clip, config.resnet
    trained_judge = judge if judge and judge.train and judge.checkpoint is None else None
    trained_clip = clip if clip.train and clip.checkpoint is None else None
    trained_resnet = resnet.train if needs_resnet and resnet.checkpoint is None else None

    def loaded_resnet() -> FrozenResNet | None:
        return _load_resnet(config, pretrained, data, cache_dir, device) if needs_resnet else None

    ready_clip = None if trained_clip else load_clip(clip, data, cache_dir, device)
    ready_resnet = None if trained_resnet else loaded_resnet()
    wanted = [each for each in (trained_judge, trained_clip, trained_resnet) if each]  # the judge takes the longest
    train_side_by_side(wanted, config.data, config.resolution, cache_dir, device)
    say_activation(clip)
    return ready_clip or load_clip(clip, data, cache_dir, device), ready_resnet or loaded_resnet()


def _load_own_layers(config: Config, device: torch.device) -> FrozenLayers | None:
    """Load the network of timm that a projected D reads, and None where D reads the guiding CLIP or images."""
    name = config.discriminator.network
    if name is None or name == GUIDE:
        return None
    from clipgan.inputs.encoders.timm_network import load_timm_network  # most runs do not need this import

    network: FrozenEncoder = load_timm_network(config.discriminator).to(device)
    layers = FrozenLayers(network, name, config.discriminator.layers)
    network.start_steps(choose_encoder_precision(config.discriminator.precision, device))
    return layers


def _load_resnet(
    config: Config, pretrained: Pretrained | None, data: PackedData, cache_dir: Path, device: torch.device
) -> FrozenResNet:
    if pretrained is None:
        return load_resnet(config.resnet, data, cache_dir, device)
    return load_pretrained(pretrained.file, config.resnet.precision).to(device)
