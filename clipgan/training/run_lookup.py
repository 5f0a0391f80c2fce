"""From an MLflow run to its checkpoint."""

from pathlib import Path
from typing import Any

import torch

from clipgan.config import MlflowConfig
from clipgan.errors import UserError
from clipgan.mlflow_run import RUN_DIR_TAG, RUN_ID_FILE, first_touch
from clipgan.secrets import without_passwords
from clipgan.training.checkpoint import checkpoint_path, snapshots
from clipgan.training.run_files import holds_checkpoint, newest_good


def checkpoint_of_run(run_id: str, config: MlflowConfig, given: str) -> Path:
    """The checkpoint of a run at which its FID was lowest, in the run directory that its tag names.

    Args:
        run_id: of a training; a sweep's own run has no checkpoint.
        config: which MLflow.
        given: what the user wrote (`init=mlflow:RUN_ID`), for the messages.

    Raises:
        UserError: MLflow has no such run, or the checkpoint is not here.
    """
    run_dir = _run_dir(run_id, config, given)
    empty, owner = not snapshots(run_dir), run_dir / RUN_ID_FILE
    if empty or not owner.exists() or owner.read_text().strip() != run_id:
        where = "is not on this machine"
        if run_dir.is_dir():
            where = "holds no checkpoint" if empty else "belongs to another run by now"
        raise UserError(f"{given}: the run's directory {run_dir} {where}; give a checkpoint file of it")
    last, content = newest_good(run_dir, torch.device("cpu"))
    kimg, fid = min(content["history"], key=lambda entry: entry[1])
    best = checkpoint_path(run_dir, kimg)
    if not best.exists():
        raise UserError(f"{given}: the run has not kept its checkpoint of lowest FID ({fid:.4g} at {kimg} kimg; "
                        f"keep_best was 0); its newest is init={last}")  # fmt: skip
    return best


def last_checkpoint_of_run(run_id: str, config: MlflowConfig, given: str) -> Path:
    """The newest good checkpoint in the directory of a run.

    Args:
        run_id: of any training.
        config: which MLflow.
        given: what the user wrote (`resnet.run=RUN_ID`), for the messages.

    Raises:
        UserError: MLflow has no such run, or its checkpoints are not here.
    """
    run_dir = _run_dir(run_id, config, given)
    if not holds_checkpoint(run_dir):
        raise UserError(f"{given}: the run's directory {run_dir} has no checkpoint here; give a checkpoint file of it")
    path, _ = newest_good(run_dir, torch.device("meta"))
    return path


def latest_pretraining(config: MlflowConfig, given: str) -> str:
    """The id of the youngest run of task=simclr that has reached its end.

    Args:
        config: which MLflow, and which of its experiments.
        given: what the user wrote, for the messages.

    Raises:
        UserError: there is none.
    """
    assert config.tracking_uri is not None
    _refuse_missing_database(config.tracking_uri, given)
    from mlflow import MlflowClient

    client = MlflowClient(config.tracking_uri)
    with first_touch(config.tracking_uri):
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


def find_run(run_id: str, tracking_uri: str, given: str) -> Any:
    """MLflow's run of this id.

    Args:
        run_id: of any run.
        tracking_uri: which MLflow.
        given: what the user wrote, for the messages.

    Raises:
        UserError: there is no such run, or no MLflow.
    """
    _refuse_missing_database(tracking_uri, given)
    from mlflow import MlflowClient

    try:
        with first_touch(tracking_uri):
            return MlflowClient(tracking_uri).get_run(run_id)
    except Exception as error:  # an unknown id, or whatever a driver or transport has to say
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        message = f"{given}: MLflow at {tracking_uri} does not give this run ({reason})"
        raise UserError(without_passwords(message)) from error


def _refuse_missing_database(tracking_uri: str, given: str) -> None:
    database = Path(tracking_uri.removeprefix("sqlite:///"))
    if tracking_uri.startswith("sqlite:///") and not database.exists():  # MLflow would make an empty one
        shown = without_passwords(tracking_uri)
        raise UserError(f"{given}: there is no MLflow at {shown}; give another with mlflow.tracking_uri=URI")


def _run_dir(run_id: str, config: MlflowConfig, given: str) -> Path:
    assert config.tracking_uri is not None
    tags = find_run(run_id, config.tracking_uri, given).data.tags
    if RUN_DIR_TAG not in tags:
        raise UserError(f"{given}: this run has no checkpoint (no tag {RUN_DIR_TAG}): it is a sweep's own, or no "
                        "training of clipgan's; give the run of one training, or a checkpoint file")  # fmt: skip
    return Path(tags[RUN_DIR_TAG])
