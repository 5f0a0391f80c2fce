"""From the settings of `python -m clipgan.evaluate` to what is measured: sources, their configurations, their runs."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from clipgan.base.device import choose_device
from clipgan.base.distributed import after_first, joined, threads_of
from clipgan.base.errors import UserError
from clipgan.base.heartbeat import watching_processes
from clipgan.config import Config
from clipgan.config.command_line import compose_config, with_overrides
from clipgan.config.mlflow import tracking_uri
from clipgan.engine.checkpoint_file import snapshots
from clipgan.engine.precision import Precision, with_precisions
from clipgan.evaluating.given_pictures import GivenPictures, find_pictures
from clipgan.evaluating.measuring import Measured, measure_generator, measure_pictures, with_asked
from clipgan.evaluating.options import OWN, EvaluateOptions
from clipgan.sampling.files import unused_folder
from clipgan.sampling.source import Source, find_source, from_checkpoint
from clipgan.tracking.mlflow_run import RUN_ID_FILE, URI_FILE, noted


@dataclass(frozen=True)
class Job:
    """What a command measures; the lists have an entry for each generator, or one for given pictures."""

    options: EvaluateOptions
    checkpoints: list[Path | None]  # None: a model in MLflow, or pictures
    configs: list[Config]  # the same `processes` and `device` in each
    runs: list[tuple[str, str] | None]  # id and URI of the MLflow run that gets the metrics; None: none
    out: Path
    uri: str | None  # where to look for `options.run`


def find_job(options: EvaluateOptions) -> Job:
    """Find the sources and their configurations.

    Raises:
        UserError: a source is missing, or a setting is not allowed.
    """
    protocol = [f"metrics={options.protocol}"] if options.protocol else []
    overrides = [*protocol, *options.overrides]
    given = options.value("mlflow.tracking_uri")
    uri = None if given == "null" else tracking_uri(given)
    if options.images is not None:
        pictures = find_pictures(options.images, _resolution(options))
        config = compose_config([*overrides, *_size(options, pictures)], OWN)
        out = options.out or unused_folder(Path("evaluations") / options.images.resolve().stem)
        return Job(options, [None], [with_asked(config, options.metrics)], [None], out, uri)
    sources = _sources(options, uri)
    configs = [_of_source(source, overrides, options) for source in sources]
    out = options.out or unused_folder(Path("evaluations") / sources[-1].name)
    runs = [_run_of(source, options, uri) for source in sources]
    return Job(options, [source.checkpoint for source in sources], configs, runs, out, uri)


def run_job(job: Job, config: Config, _: Path) -> list[Measured]:
    """Measure everything; each process of a command calls this.

    Args:
        job: what to measure.
        config: has the command's number of processes.

    Raises:
        UserError: data or weights are missing, or do not fit.
    """
    device = choose_device(config.device)
    found = []
    with watching_processes(), threads_of(config.threads):
        for number, each in enumerate(job.configs):
            with after_first(f"prepared {number}"):
                ready = with_precisions(replace(each, processes=config.processes), device)
                measure = _prepare(job, number, ready, device)
            with Precision(ready.precision, device).products(), joined(device):
                found.append(measure())
    return found


def _prepare(job: Job, number: int, config: Config, device: torch.device) -> Callable[[], Measured]:
    options, checkpoint = job.options, job.checkpoints[number]
    if options.images is not None:
        return measure_pictures(config, find_pictures(options.images, config.resolution), options, device)
    source = from_checkpoint(checkpoint) if checkpoint else _sources(options, job.uri)[0]
    return measure_generator(config, source, options, device)


def _sources(options: EvaluateOptions, uri: str | None) -> list[Source]:
    """Read the trained generators."""
    if options.run is None:
        return [from_checkpoint(path) for path in options.ckpt]
    if uri is None:
        raise UserError(f"run={options.run} is looked up in MLflow: leave mlflow.tracking_uri=null out, or give ckpt")
    last = find_source(options.run, None, uri)
    if not options.snapshots:
        return [last]
    if last.checkpoint is None:
        raise UserError(f"run={options.run}: its directory is not on this machine, and MLflow has no snapshots: give "
                        "ckpt=FILE,FILE,... or leave snapshots out")  # fmt: skip
    return [from_checkpoint(path) for path in snapshots(last.checkpoint.parent)]


def _of_source(source: Source, overrides: list[str], options: EvaluateOptions) -> Config:
    """Return a run's configuration with the command's settings."""
    recorded = replace(source.config, device="auto", processes=1, threads=None, resume="none", init=None)
    config = with_asked(with_overrides(recorded, overrides, OWN), options.metrics)
    if config.resolution != recorded.resolution:
        raise UserError(f"resolution={config.resolution} is not allowed: {source.name} draws {recorded.resolution}")
    if config.clip.model != recorded.clip.model:
        raise UserError(
            f"clip.model={config.clip.model} is not allowed: {source.name} was trained with {recorded.clip.model}; "
            "clip@metrics.judge=NAME chooses a CLIP that judges"
        )
    return config


def _run_of(source: Source, options: EvaluateOptions, uri: str | None) -> tuple[str, str] | None:
    """Find the MLflow run that gets the metrics; None if there is none, or MLflow is turned off."""
    if uri is None:
        return None
    if options.run is not None:
        return options.run, uri
    folder = source.checkpoint.parent if source.checkpoint else Path()
    run_id, known = noted(folder / RUN_ID_FILE), noted(folder / URI_FILE)
    if run_id is None:
        return None
    given = options.gives("mlflow.tracking_uri") or "MLFLOW_TRACKING_URI" in os.environ
    return run_id, uri if given or known is None else known


def _resolution(options: EvaluateOptions) -> int | None:
    """The resolution that the command line gives, if it is a number: `compose_config` refuses anything else."""
    text = options.value("resolution") or ""
    return int(text) if text.isdecimal() else None


def _size(options: EvaluateOptions, pictures: GivenPictures) -> list[str]:
    """The pictures' own resolution and number, where the command line and the protocol leave them open.

    Raises:
        UserError: this number is one.
    """
    resolution = [] if options.gives("resolution") else [f"resolution={pictures.resolution}"]
    fixed = options.gives("metrics.n_images") or options.protocol is not None
    if not fixed and len(pictures) < 2:
        raise UserError(f"images={pictures.path} has one image, and metrics need at least 2")
    return resolution + ([] if fixed else [f"metrics.n_images={len(pictures)}"])
