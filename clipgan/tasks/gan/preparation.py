"""Prepare a GAN's training: packed data, frozen encoders, cached features."""

from dataclasses import dataclass
from pathlib import Path

import torch

from clipgan.base.cache import cache_dir_of
from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.config import GUIDE, ConditionConfig, Config, Need
from clipgan.engine.precision import choose_encoder_precision
from clipgan.engine.run_checkpoints import check_resumption
from clipgan.engine.same_run import check_data
from clipgan.inputs.batches.batches import check_batch_size
from clipgan.inputs.data.loading import load_data
from clipgan.inputs.data.pack import SPLITS, PackedData
from clipgan.inputs.data.summary import report_files
from clipgan.inputs.encoders.clip import FrozenClip, load_clip
from clipgan.inputs.encoders.frozen import FrozenEncoder
from clipgan.inputs.encoders.frozen_layers import FrozenLayers
from clipgan.inputs.encoders.resnet import FrozenResNet, load_resnet
from clipgan.inputs.encoders.side_by_side import train_side_by_side
from clipgan.inputs.encoders.trained_activation import say_activation
from clipgan.inputs.encoders.weights import check_weights
from clipgan.inputs.features.feature_cache import Features, load_features
from clipgan.metrics.inception import find_inception_weights
from clipgan.metrics.measure import load_measure
from clipgan.metrics.metric_names import prompt_split, real_split
from clipgan.metrics.prompts import possible_captions, real_indices
from clipgan.metrics.retrieval import are_varied
from clipgan.models.losses.structure import active_terms
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


def check_files(config: Config, device: torch.device) -> None:
    """Refuse missing files at once, not after an hour.

    Raises:
        UserError: a file that the configuration names does not exist.
    """
    judge = config.metrics.judge
    check_weights({
        "clip.checkpoint": config.clip.checkpoint,
        "resnet.checkpoint": config.resnet.checkpoint,
        "discriminator.checkpoint": config.discriminator.checkpoint,
        "metrics.judge.checkpoint": judge.checkpoint if judge else None,
    })  # fmt: skip
    if config.metrics.extractor == "inception":
        find_inception_weights(config.metrics.inception_weights)
    for measure in config.metrics.asked():
        load_measure(measure).extractors(config.metrics, device)  # kept for the evaluation
    check_resumption(config)


def check_captions(config: Config, data: PackedData) -> None:
    """Refuse a data set that lacks captions that the run needs, and print the measures that it cannot have.

    Raises:
        UserError: the run, or a CLIP that it trains, needs captions or their words, and the data set lacks them.
    """
    bare = [name for name in SPLITS if not any(getattr(data, name).captions)]
    if bare and config.condition.language_free < 1:
        raise UserError(
            f"data={data.name} has no captions ({' and '.join(bare)} images): put them into a text file beside each "
            "image (NAME.txt, one a line; data=folder) or into a table (metadata.csv with the columns file_name and "
            "text; data=metadata), or train without any: condition=language_free"
        )
    if "train" in bare and config.condition.pseudo_text == "nearest":
        raise UserError(
            f"condition.pseudo_text=nearest takes captions of near images, but data={data.name} has none; "
            "use condition.pseudo_text=noise"
        )
    _leave_out(config, data)
    has_words = data.train.has_words and data.heldout.has_words
    what = "captions to train it on" if bare else "words to train a small CLIP on, only features of captions"
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


def check_measures(config: Config, data: PackedData) -> None:
    """Refuse measures that need more images than there are, before an encoder is trained.

    Raises:
        UserError: see `Measure.check`.
    """
    n_real = len(real_indices(getattr(data, real_split(config)), config.metrics))
    for name in config.metrics.asked():
        load_measure(name).check(config, n_real)


def _leave_out(config: Config, data: PackedData) -> None:
    """Print the measures that the data set cannot have, because it has no captions, or not their words.

    Raises:
        UserError: one of them is the objective.
    """
    missing: dict[Need, str] = {}  # need -> the split that lacks what it needs
    prompted = getattr(data, prompt_split(config))
    if config.metrics.caption_list is None and not prompted.has_words:
        missing |= {Need.CAPTIONS: prompt_split(config), Need.SHAPES: prompt_split(config)}
    if not getattr(data, real_split(config)).has_words:
        missing[Need.REAL_CAPTIONS] = real_split(config)
    splits = sorted({*missing.values()})
    lacks = "no words of captions" if any(any(getattr(data, name).captions) for name in splits) else "no captions"
    if missing:
        config.metrics.check_objective(f"{data.name}, which has {lacks}", *missing)
    if Need.CAPTIONS not in missing and not are_varied(possible_captions(prompted, config.metrics)):
        _leave_out_retrieval(config, data)
    left_out = [name for need in missing if need != Need.SHAPES for name in config.metrics.asked(need)]
    if left_out:
        measures = " and ".join(f"metrics.{name}" for name in dict.fromkeys(left_out))
        console.print(
            f"data={data.name} has {lacks} of {' and '.join(splits)} images: {measures} cannot be measured, and are "
            "left out"
        )


def _leave_out_retrieval(config: Config, data: PackedData) -> None:
    """Print the measures that need different captions, where all prompts are one.

    Raises:
        UserError: one of them is the objective.
    """
    need = Need.VARIED_CAPTIONS
    config.metrics.check_objective(f"{data.name}, whose prompts are all one caption", need)
    for name in config.metrics.asked(need):
        console.print(
            f"data={data.name}: all prompts are one caption, among which each image would find its own: metrics.{name} "
            "is left out"
        )


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
    judging = config.metrics.judge
    # load ready encoders before training others, so that a missing file is reported at once
    trains = {
        "judge": judging if judging and judging.train and judging.checkpoint is None else None,  # takes the longest
        "clip": config.clip if config.clip.train and config.clip.checkpoint is None else None,
        "resnet": config.resnet.train if config.resnet.checkpoint is None and needs_resnet else None,
    }
    loaded_clip = None if trains["clip"] else load_clip(config.clip, data, cache_dir, device)
    loaded_resnet = None
    if needs_resnet and not trains["resnet"]:
        loaded_resnet = _load_resnet(config, pretrained, data, cache_dir, device)
    wanted = [training for training in trains.values() if training is not None]
    train_side_by_side(wanted, config.data, config.resolution, cache_dir, device)
    clip = loaded_clip or load_clip(config.clip, data, cache_dir, device)
    say_activation(config.clip)
    resnet = loaded_resnet or (_load_resnet(config, pretrained, data, cache_dir, device) if needs_resnet else None)
    features = load_features(
        data,
        clip,
        resnet,
        config.resnet.ridge,
        cache_dir,
        device,
        pseudo_text=config.condition.length(config.condition.image_noise)
        if reads_no_caption(config.condition)
        else None,
    )
    clip.start_steps(choose_encoder_precision(config.clip.precision, device))
    if resnet is not None:
        resnet.start_steps(choose_encoder_precision(config.resnet.precision, device))
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
