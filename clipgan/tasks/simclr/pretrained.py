"""Load a pretrained encoder as the GAN's ResNet space: `resnet=simclr resnet.run=RUN_ID|latest`."""

from pathlib import Path

import torch

from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.base.mlflow_store import first_touch
from clipgan.config import MlflowConfig, ResNetConfig
from clipgan.engine.checkpoint_file import load_checkpoint
from clipgan.engine.mlflow_checkpoint import last_checkpoint_of_run, refuse_missing_database
from clipgan.inputs.encoders.preprocess import Preprocess
from clipgan.inputs.encoders.resnet import FrozenResNet
from clipgan.tasks.simclr.network import build_encoder

LATEST = "latest"
PREFIX = "encoder."  # prefix of the encoder's tensors in a checkpoint


def pretrained_file(config: ResNetConfig, mlflow: MlflowConfig) -> Path:
    """Find the checkpoint that `config` names by a file or a run.

    Raises:
        UserError: there is no such checkpoint.
    """
    if config.checkpoint is not None:
        return Path(config.checkpoint)
    given = f"resnet.run={config.run}"
    if config.run is None or mlflow.tracking_uri is None:
        raise UserError(f"{given} needs MLflow (mlflow.tracking_uri); give a checkpoint with resnet.checkpoint=FILE")
    run_id = latest_pretraining(mlflow, given) if config.run == LATEST else config.run
    path = last_checkpoint_of_run(run_id, mlflow, given)
    console.print(f"resnet=simclr: the encoder of run {run_id}, {path}")
    return path


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
