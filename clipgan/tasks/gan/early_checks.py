"""Refuse a GAN's run at its start, not after an hour: missing files, captions or images, and measures without them."""

import torch

from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.config import Config, Need
from clipgan.engine.checkpoint_folder import check_resumption
from clipgan.inputs.data.pack import SPLITS, PackedData
from clipgan.inputs.encoders.weights import check_weights
from clipgan.metrics.inception import find_inception_weights
from clipgan.metrics.measure import load_measure
from clipgan.metrics.metric_names import prompt_split, real_split
from clipgan.metrics.prompts import possible_captions, real_indices
from clipgan.metrics.retrieval import are_varied


def check_files(config: Config, device: torch.device) -> None:
    """Refuse missing files before anything is prepared.

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
