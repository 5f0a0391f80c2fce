"""Load a pretrained encoder as the GAN's ResNet space: `resnet=simclr resnet.run=RUN_ID|latest`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clipgan.base import lookup
from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.base.mlflow_store import first_touch
from clipgan.config import Config, MlflowConfig
from clipgan.engine import checkpoint_folder
from clipgan.engine.checkpoint_file import load_checkpoint
from clipgan.engine.mlflow_checkpoint import last_checkpoint_of_run, refuse_missing_database
from clipgan.engine.same_run import refuse_differences
from clipgan.inputs.encoders.preprocess import Preprocess
from clipgan.inputs.encoders.resnet import FrozenResNet
from clipgan.tasks.simclr.network import build_encoder

LATEST = "latest"
PREFIX = "encoder."  # prefix of the encoder's tensors in a checkpoint


@dataclass(frozen=True)
class Pretrained:
    """The checkpoint of a pretraining that a GAN's run takes its encoder from."""

    file: Path
    run: str | None = None  # MLflow's id; None: resnet.checkpoint names the file

    def record(self) -> dict[str, str | None]:
        """Return what a run records to find this encoder again."""
        return {"run": self.run, "file": str(self.file.resolve())}


def find_pretrained(config: Config, run_dir: Path | None) -> Pretrained:
    """Find the checkpoint that `config.resnet` names by a file or a run.

    A run that goes on takes the file that its own checkpoint records. If this file is gone, `resnet.run=latest` means
    the run that the checkpoint records.

    Args:
        config: of a GAN's run.
        run_dir: the directory of this run; None: it never goes on.

    Raises:
        UserError: there is no such checkpoint, or the run to go on with has begun with another pretraining.
    """
    resnet, mlflow = config.resnet, config.mlflow
    if resnet.checkpoint is not None:
        return Pretrained(Path(resnet.checkpoint))
    source, run = "", resnet.run
    begun, recorded = (None, {}) if run_dir is None else _recorded(config.resume, run_dir)
    if begun is not None and recorded.get("run") is not None:
        if run == LATEST:
            source, run = f", which {begun} began with", recorded["run"]
        refuse_differences(begun, {"resnet.run": recorded["run"]}, {"resnet.run": run})
        if lookup.is_file(file := Path(recorded["file"])):
            return _said(Pretrained(file, run))
    given = f"resnet.run={run}{source}"
    if run is None or mlflow.tracking_uri is None:
        raise UserError(f"{given} needs MLflow (mlflow.tracking_uri); give a checkpoint with resnet.checkpoint=FILE")
    run = latest_pretraining(mlflow, given) if run == LATEST else run
    return _said(Pretrained(last_checkpoint_of_run(run, mlflow, given), run))


def _recorded(resume: str, run_dir: Path) -> tuple[Path | None, dict[str, Any]]:
    """Return the checkpoint that a run goes on from, and the pretraining that it records."""
    found = checkpoint_folder.find(resume, run_dir, torch.device("meta"))
    return (None, {}) if found is None else (found[0], found[1].get("resnet") or {})


def _said(found: Pretrained) -> Pretrained:
    console.print(f"resnet=simclr: the encoder of run {found.run}, {found.file}")
    return found


def load_pretrained(path: Path, precision: str) -> FrozenResNet:
    """Load the frozen encoder from a checkpoint of task=simclr; it resizes images to the size of its training.

    Raises:
        UserError: the file is missing or damaged, or belongs to another task.
    """
    content = load_checkpoint(path, torch.device("cpu"), task="simclr")
    config, state = content["config"], content["state"]["network"]
    settings, resolution = config["simclr"], config["resolution"]
    encoder, dim = build_encoder(settings["network"], settings["stem"], resolution)
    encoder.load_state_dict({name.removeprefix(PREFIX): state[name] for name in state if name.startswith(PREFIX)})
    architecture = {"name": "simclr", "network": settings["network"], "stem": settings["stem"]}
    preprocess = Preprocess(resolution, mean=(0.5,) * 3, std=(0.5,) * 3)  # values in [-1, 1]
    return FrozenResNet(encoder, preprocess, dim, architecture, precision)


def latest_pretraining(config: MlflowConfig, given: str) -> str:
    """Find the id of the newest finished run of task=simclr.

    Args:
        config: MLflow's URI and experiment.
        given: the user's text, for the messages.

    Raises:
        UserError: there is no such run.
    """
    assert config.tracking_uri is not None
    refuse_missing_database(config.tracking_uri, given)
    from mlflow import MlflowClient

    with first_touch(config.tracking_uri):
        client = MlflowClient(config.tracking_uri)
        experiment = client.get_experiment_by_name(config.experiment)
    wanted = "params.`simclr.network` != 'none' and attributes.status = 'FINISHED'"
    found = experiment and client.search_runs(
        [experiment.experiment_id], wanted, max_results=1, order_by=["attributes.start_time DESC"]
    )
    if not found:
        raise UserError(
            f"{given}: MLflow's experiment {config.experiment} has no finished run of task=simclr; train one "
            "with task=simclr, or give a checkpoint with resnet.checkpoint=FILE"
        )
    return str(found[0].info.run_id)
