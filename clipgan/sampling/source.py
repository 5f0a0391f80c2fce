"""Finding a trained generator: in a checkpoint, or in an MLflow run by its id."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from yaml import YAMLError

from clipgan.base.errors import UserError
from clipgan.config import Config, from_record
from clipgan.engine.checkpoint_file import load_checkpoint, snapshots
from clipgan.engine.mlflow_checkpoint import find_run
from clipgan.tracking.mlflow_files import MODEL_NAME
from clipgan.tracking.mlflow_run import RUN_DIR_TAG, RUN_ID_FILE, noted

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Source:
    """The parts of a run that sampling needs."""

    config: Config
    generator: Mapping[str, Tensor]  # the state dict of the generator's moving average
    clip: Mapping[str, str] | None  # the guiding CLIP's key and file; None: the run did not record them
    judge: Mapping[str, str] | None  # the judging CLIP's key and file; None: likewise
    name: str  # for folder names and messages
    checkpoint: Path | None = None  # the file; None: a model in MLflow
    kimg: float | None = None  # how long the generator was trained; None: not known
    sources: Mapping[str, Any] | None = None  # digests of the training's data and encoders; None: not known


def find_source(run: str | None, checkpoint: Path | None, tracking_uri: str) -> Source:
    """Find the source of a generator. Exactly one of `run` (an MLflow run's id) and `checkpoint` must be given."""
    if checkpoint is not None:
        return from_checkpoint(checkpoint)
    assert run is not None
    return from_run(run, tracking_uri)


def from_checkpoint(path: Path) -> Source:
    """Read the checkpoint of a training.

    Raises:
        UserError: the file is missing, damaged, or not a checkpoint of this project.
    """
    content = load_checkpoint(path, CPU)
    generator, records = content["state"]["generator_ema"], {key: content.get(key) for key in ("clip", "judge")}
    odd = [key for key, record in records.items() if record is not None and not _names_clip(record)]
    if odd or not isinstance(generator, Mapping):
        raise UserError(f"checkpoint {path} has values of other types: {', '.join(odd) or 'generator_ema'}")
    config = from_record(content["config"])
    return Source(
        config=config,
        generator=generator,
        **records,
        name="-".join([*path.resolve().parts[-3:-1], path.stem]),
        checkpoint=path,
        kimg=content["state"].get("step", 0) * config.batch / 1000,
        sources=content.get("sources"),
    )


def from_model(folder: Path, name: str) -> Source:
    """Read a model that `clipgan.sampling.served.write` wrote.

    Raises:
        UserError: a file is missing, damaged or of another kind.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        record = json.loads((folder / "clip.json").read_text())
        if not _names_clip(record):
            raise ValueError("clip.json names no CLIP")
        own = folder / "clip.safetensors"
        if own.exists():
            record["file"] = str(own)
        config = _plain_yaml((folder / "config.yaml").read_text())
        generator = load_file(folder / "generator.safetensors")
    except (OSError, ValueError, TypeError, RecursionError, YAMLError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"the model in {folder} cannot be read ({reason}): log it again") from error
    return Source(from_record(config), generator, record, None, name)


def _names_clip(record: Any) -> bool:
    """Whether it is a record of a CLIP, as `FrozenClip.record` makes it."""
    return isinstance(record, dict) and all(isinstance(record.get(key), str) for key in ("key", "file"))


def _plain_yaml(text: str) -> DictConfig:
    """Parse a configuration; aliases are refused, with which a few lines would grow to gigabytes.

    Raises:
        ValueError, YAMLError: it is none.
    """
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
        raise ValueError("config.yaml has aliases")
    config = OmegaConf.create(text)
    if not isinstance(config, DictConfig):
        raise ValueError("config.yaml has no settings")
    return config


def from_run(run_id: str, tracking_uri: str) -> Source:
    """Read an MLflow run: its last checkpoint if the run directory is on this machine, else the model that it logged.

    Raises:
        UserError: MLflow cannot be reached, the run does not exist, or it has neither checkpoint nor model.
    """
    run = find_run(run_id, tracking_uri, f"run={run_id}")
    checkpoint = checkpoint_of(run)
    if checkpoint is not None:
        return from_checkpoint(checkpoint)
    outputs = run.outputs.model_outputs if run.outputs else []
    if not outputs:
        where = run.data.tags.get(RUN_DIR_TAG, "no known directory")
        raise UserError(
            f"run={run_id} ({run.info.run_name}) has no checkpoint here ({where}) and has logged no "
            f"model; a sweep's parent run has neither: give one of its trials"
        )
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow.artifacts import download_artifacts

    folder = download_artifacts(f"models:/{outputs[-1].model_id}", tracking_uri=tracking_uri)
    return from_model(Path(folder) / "data" / MODEL_NAME, run_id)


def checkpoint_of(run: Any) -> Path | None:
    """Return the last checkpoint in a run's directory; None if the directory is missing or belongs to another run."""
    folder = Path(run.data.tags.get(RUN_DIR_TAG, ""))
    if noted(folder / RUN_ID_FILE) != run.info.run_id:
        return None
    return next(reversed(snapshots(folder)), None)
