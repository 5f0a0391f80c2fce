"""Find the checkpoint of an MLflow run."""

from pathlib import Path
from typing import Any

import torch

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.base.mlflow_store import first_touch
from clipgan.base.secrets import without_passwords
from clipgan.base.text import first_line
from clipgan.config import MlflowConfig, from_record
from clipgan.config.measure_registry import direction_of
from clipgan.engine.checkpoint_file import checkpoint_path, snapshots
from clipgan.engine.checkpoint_folder import holds_checkpoint, newest_good
from clipgan.tracking.mlflow_run import RUN_DIR_TAG, RUN_ID_FILE, noted


def checkpoint_of_run(run_id: str, config: MlflowConfig, given: str) -> Path:
    """Find a run's checkpoint with the best objective, in the run directory that the run's tag names.

    Args:
        run_id: id of a training's run; a sweep's own run has no checkpoint.
        config: settings of MLflow.
        given: the user's text (`init=mlflow:RUN_ID`), for the messages.

    Raises:
        UserError: MLflow has no such run, or the checkpoint is not on this machine.
    """
    run_dir = _run_dir(run_id, config, given)
    empty = not snapshots(run_dir)
    if empty or noted(run_dir / RUN_ID_FILE) != run_id:
        where = "is not on this machine"
        if lookup.is_dir(run_dir):
            where = "holds no checkpoint" if empty else "belongs to another run by now"
        raise UserError(f"{given}: the run's directory {run_dir} {where}; give a checkpoint file of it")
    last, content = newest_good(run_dir, torch.device("cpu"))
    maximised = direction_of(from_record(content["config"]).metrics.objective) == "maximize"
    kimg, objective = (max if maximised else min)(content["history"], key=lambda entry: entry[1])
    best = checkpoint_path(run_dir, kimg)
    if not lookup.exists(best):
        raise UserError(f"{given}: the run has not kept its best checkpoint ({objective:.4g} at {kimg} kimg; "
                        f"keep_best keeps it); its newest is init={last}")  # fmt: skip
    return best


def last_checkpoint_of_run(run_id: str, config: MlflowConfig, given: str) -> Path:
    """Find the newest good checkpoint in the directory of a run.

    Args:
        run_id: id of any training's run.
        config: settings of MLflow.
        given: the user's text (`resnet.run=RUN_ID`), for the messages.

    Raises:
        UserError: MLflow has no such run, or the run's checkpoints are not on this machine.
    """
    run_dir = _run_dir(run_id, config, given)
    if not holds_checkpoint(run_dir):
        raise UserError(f"{given}: the run's directory {run_dir} has no checkpoint here; give a checkpoint file of it")
    path, _ = newest_good(run_dir, torch.device("meta"))
    return path


def find_run(run_id: str, tracking_uri: str, given: str) -> Any:
    """Ask MLflow for the run with this id.

    Args:
        run_id: id of any run.
        tracking_uri: MLflow's URI.
        given: the user's text, for the messages.

    Raises:
        UserError: the run does not exist, or MLflow does not answer.
    """
    refuse_missing_database(tracking_uri, given)
    from mlflow import MlflowClient

    try:
        with first_touch(tracking_uri):
            return MlflowClient(tracking_uri).get_run(run_id)
    except Exception as error:  # an unknown id, or any error of a driver or transport
        reason = first_line(error)
        message = f"{given}: MLflow at {tracking_uri} did not return this run ({reason})"
        raise UserError(without_passwords(message)) from error


def refuse_missing_database(tracking_uri: str, given: str) -> None:
    """Refuse an SQLite database that does not exist: MLflow would create an empty one.

    Args:
        tracking_uri: of MLflow.
        given: what the user gave, for the message.

    Raises:
        UserError: there is no such file.
    """
    database = Path(tracking_uri.removeprefix("sqlite:///"))
    if tracking_uri.startswith("sqlite:///") and not lookup.exists(database):
        shown = without_passwords(tracking_uri)
        raise UserError(f"{given}: there is no MLflow at {shown}; give another with mlflow.tracking_uri=URI")


def _run_dir(run_id: str, config: MlflowConfig, given: str) -> Path:
    assert config.tracking_uri is not None
    tags = find_run(run_id, config.tracking_uri, given).data.tags
    if RUN_DIR_TAG not in tags:
        raise UserError(f"{given}: this run has no checkpoint (no tag {RUN_DIR_TAG}): it is a sweep's own, or no "
                        "training of clipgan's; give the run of one training, or a checkpoint file")  # fmt: skip
    return Path(tags[RUN_DIR_TAG])
