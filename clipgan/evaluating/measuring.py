"""Measure trained generators or pictures: prepare, compute all metrics in one pass, and keep what is finished.

A finished evaluation is an entry of the cache, and so is an unfinished one, with the rows of the images so far. So the
same command goes on after a kill, and repeats nothing.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipgan.base import lookup
from clipgan.base.cache import cache_dir_of, cache_entry, digest
from clipgan.base.checksums import file_digest
from clipgan.base.console import console
from clipgan.base.distributed import from_first, rank
from clipgan.base.errors import UserError
from clipgan.base.memory import measure_peak_from_now, peak_memory
from clipgan.base.text import counted
from clipgan.config import MEASURES, NEEDS, ClipConfig, Config, Need
from clipgan.engine.precision import Precision
from clipgan.evaluating.comparing import compares_with_training
from clipgan.evaluating.given_pictures import GivenPictures
from clipgan.evaluating.options import EvaluateOptions
from clipgan.evaluating.sampled_pictures import SampledPictures
from clipgan.inputs.data.caption_list import read_caption_list
from clipgan.inputs.data.loading import load_data
from clipgan.inputs.data.pack import Split
from clipgan.inputs.data.summary import report_files
from clipgan.inputs.encoders.clip import load_clip
from clipgan.inputs.encoders.trained_activation import say_activation
from clipgan.inputs.encoders.weights import check_weights
from clipgan.metrics.evaluation import Evaluation
from clipgan.metrics.measure import load_measure
from clipgan.metrics.metric_names import real_split
from clipgan.metrics.needs import reads_judge, refuse_unmet, unmet_needs
from clipgan.metrics.prompts import Prompts, real_indices
from clipgan.sampling.sampler import Sampler, trained_generator
from clipgan.sampling.source import Source
from clipgan.tasks.gan.preparation import Prepared, prepare

VALUES = "metrics.json"  # the file of a finished evaluation
VERSION = 1  # part of the cache key: raise it when the same inputs would give other values


@dataclass(frozen=True)
class Measured:
    """The result for one generator, or for one set of pictures."""

    source: str
    kimg: float | None  # how long the generator was trained; None: not known
    metrics: dict[str, float]  # by name
    protocol: dict[str, Any]  # what the values depend on; see `Evaluation.record`
    seconds: float  # of this process, without preparation; of a repeated evaluation, those of reading its result
    peak_memory_gb: float  # see `peak_memory`
    compares: bool = True  # whether data, judge and prompts were those of the training


def with_asked(config: Config, metrics: Sequence[str] | None) -> Config:
    """Set the protocol's measures to the asked ones; None: leave them."""
    if metrics is None:
        return config
    due: dict[str, Any] = {measure: "end" if measure in metrics else "never" for measure in MEASURES}
    return replace(config, metrics=replace(config.metrics, objective=None, **due))


def measure_pictures(
    config: Config, pictures: GivenPictures, options: EvaluateOptions, device: torch.device
) -> Callable[[], Measured]:
    """Prepare the evaluation of given pictures, and return the function that measures them.

    Raises:
        UserError: there are too few pictures or captions, or data or weights are missing.
    """
    rows = pictures.chosen(config.metrics.n_images)
    captions = _captions_of(pictures, options.captions)
    prompts = Prompts(torch.empty(len(rows), 0), captions and [captions[row] for row in rows])
    judging = config.metrics.judge
    check_weights({"metrics.judge.checkpoint": judging.checkpoint if judging else None})
    for name in options.metrics or ():
        load_measure(name).extractors(config.metrics, device)  # missing weights are named before the data is packed
    cache_dir = cache_dir_of(config.cache_dir)
    has_judge = judging is not None
    refuse_unmet(options.metrics or (), unmet_needs(config, prompts.captions, None, has_judge, redraws=False))
    data = load_data(config.data, config.resolution, cache_dir)
    report_files(data)
    real: Split = getattr(data, real_split(config))
    unmet = unmet_needs(config, prompts.captions, real, has_judge, redraws=False)
    refuse_unmet(options.metrics or (), unmet)
    asked = options.metrics or _possible(config, unmet)
    n_real = len(real_indices(real, config.metrics))
    for name in asked:  # before a judge is trained
        load_measure(name).check(config, n_real)
    judge = None
    if judging is not None and reads_judge(asked, config):
        judge = load_clip(judging, data, cache_dir, device)
        say_activation(judging, "metrics.judge")

    def measured() -> Measured:
        evaluation = Evaluation(config, data, None, judge, None, cache_dir, device, asked=asked, prompts=prompts)
        return _kept(
            evaluation, str(pictures.path), None, pictures.key, cache_dir,
            lambda folder: evaluation.of_chunks(lambda chunks, _: pictures.read(rows, chunks), folder=folder),
        )  # fmt: skip

    return measured


def _captions_of(pictures: GivenPictures, file: Path | None) -> list[str] | None:
    """Return a caption for each picture: those of a file, or what clipgan.sample has noted; None without any."""
    if file is None:
        return pictures.prompts
    captions = read_caption_list("captions", file)
    if len(captions) != len(pictures):
        raise UserError(
            f"captions={file} has {counted(len(captions), 'caption')}, and images={pictures.path} has "
            f"{counted(len(pictures), 'image')}: "
            "give one caption for each image, in the order of the images' names"
        )
    return captions


def _possible(config: Config, unmet: set[Need]) -> list[str]:
    """List FID and the protocol's measures that pictures can have: those of captions only with captions, and so on."""
    return ["fid", *(name for name in config.metrics.asked() if not unmet & {*NEEDS[name]})]


def measure_generator(
    config: Config, source: Source, options: EvaluateOptions, device: torch.device
) -> Callable[[], Measured]:
    """Prepare the evaluation of a trained generator, and return the function that measures it.

    Raises:
        UserError: data, encoders or weights are missing, or the generator was trained with another CLIP, or data or
            judge have changed since.
    """
    asked = config
    config = replace(
        config,
        clip=_recorded(config.clip, source.clip, source.config.clip),
        metrics=replace(
            config.metrics, weights="ema",
            judge=config.metrics.judge and _recorded(config.metrics.judge, source.judge, source.config.metrics.judge),
        ),
    )  # fmt: skip
    prepared = prepare(config, device)
    if source.clip is not None and prepared.clip.key != source.clip["key"]:
        raise UserError(
            f"{source.name} was trained with other weights of clip={config.clip.name} than are here "
            f"({prepared.clip.file}); give them with clip.checkpoint=FILE"
        )
    compares = compares_with_training(asked, source, options, prepared)
    generator = trained_generator(source, prepared.clip, device)

    def measured() -> Measured:
        key = _weights_key(source)
        if options.prompts:
            found = _measure_sampled(config, source, options, prepared, device)
            return replace(found, compares=False)  # the training's metrics of these names have other prompts
        evaluation = Evaluation(
            config, prepared.data, prepared.features, prepared.judge, prepared.clip, prepared.cache_dir, device,
            Precision(config.precision, device).autocast, asked=options.metrics,
        )  # fmt: skip
        found = _kept(
            evaluation, source.name, source.kimg, key, prepared.cache_dir,
            lambda folder: evaluation(generator, last=True, folder=folder),
        )  # fmt: skip
        return replace(found, compares=compares)

    return measured


def _measure_sampled(
    config: Config, source: Source, options: EvaluateOptions, prepared: Prepared, device: torch.device
) -> Measured:
    """Measure the pictures that clipgan.sample draws of some prompts and seeds."""
    generator = trained_generator(source, prepared.clip, device)
    prepared.clip.move_text_tower(device)
    pictures = SampledPictures(Sampler(generator, prepared.clip, device, source), options.prompts, options.seeds)
    config = replace(config, metrics=replace(config.metrics, n_images=len(pictures)))
    real = getattr(prepared.data, real_split(config))
    unmet = unmet_needs(config, pictures.captions, real, judged=True, redraws=False)
    asked = options.metrics or _possible(config, unmet)
    prompts = Prompts(torch.empty(len(pictures), 0), pictures.captions)
    evaluation = Evaluation(
        config, prepared.data, None, prepared.judge, prepared.clip, prepared.cache_dir, device,
        asked=asked, prompts=prompts,
    )  # fmt: skip
    key = digest({"weights": _weights_key(source), "seeds": list(options.seeds)})
    return _kept(
        evaluation, source.name, source.kimg, key, prepared.cache_dir,
        lambda folder: evaluation.of_chunks(pictures.read, folder=folder),
    )  # fmt: skip


def _recorded(config: ClipConfig, record: Any, of_run: ClipConfig | None) -> ClipConfig:
    """Take the recorded file of a CLIP that was trained on the data, if it is still there and none is given.

    Args:
        config: the CLIP that is asked for; of another kind than the run's with another protocol, for example.
        record: the file of the run's CLIP.
        of_run: the run's CLIP.
    """
    if record is None or config != of_run or config.train is None or not lookup.is_file(record["file"]):
        return config
    return replace(config, checkpoint=record["file"], train=None)


def _weights_key(source: Source) -> str:
    """A digest of a generator's weights."""
    if source.checkpoint is not None:
        return file_digest(source.checkpoint)
    sha = hashlib.sha256()
    for name, tensor in source.generator.items():
        sha.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


def _kept(
    evaluation: Evaluation, source: str, kimg: float | None, pictures: str, cache_dir: Path,
    compute: Callable[[Path], dict[str, float]],
) -> Measured:  # fmt: skip
    """Compute the metrics, or read them if an earlier command has finished; all processes must call this.

    Args:
        evaluation: the protocol.
        source: the name of the pictures' source.
        kimg: see `Measured`.
        pictures: identifies the pictures, with the prompts.
        cache_dir: the cache.
        compute: computes the metrics; it keeps rows in the given folder.
    """
    start = time.monotonic()
    measure_peak_from_now(evaluation.device)
    protocol = evaluation.record()
    description = {
        "pictures": pictures, "prompts": _prompts_key(evaluation.prompts), "protocol": asdict(evaluation.metrics),
        "measures": sorted(evaluation.measures), "record": protocol, "seed": evaluation.config.seed,
        "resolution": evaluation.config.resolution, "data": evaluation.source, "device": evaluation.device.type,
        "version": VERSION,
    }  # fmt: skip
    partial = cache_dir / "evaluations" / f"{digest(description)}.partial"
    values: dict[str, float] = {}

    def build(folder: Path) -> None:
        from_first(True)
        values.update(compute(folder))
        for path in folder.glob("rows-*"):
            path.unlink()
        (folder / VALUES).write_text(json.dumps(values) + "\n")

    if rank() == 0:
        entry = cache_entry(cache_dir, "evaluations", description, build, resumable=True)
        if not values:
            from_first(False)
            console.print(f"{source}: measured by an earlier command")
            values.update(json.loads((entry / VALUES).read_text()))
    elif from_first(None):
        values.update(compute(partial))
    return Measured(source, kimg, values, protocol, time.monotonic() - start, peak_memory(evaluation.device))


def _prompts_key(prompts: Prompts) -> str:
    sha = hashlib.sha256(_bytes(prompts.conditions))
    sha.update("\n".join(prompts.captions or ()).encode())
    return sha.hexdigest()[:16]


def _bytes(tensor: Tensor) -> bytes:
    return bytes(tensor.contiguous().numpy().tobytes())
