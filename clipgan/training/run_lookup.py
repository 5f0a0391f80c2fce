"""From the id of an MLflow run to its checkpoint."""

from pathlib import Path

import torch

from clipgan.config import MlflowConfig
from clipgan.errors import UserError
from clipgan.tracking import RUN_DIR_TAG, first_touch
from clipgan.training.checkpoint import PATTERN, checkpoint_path, load_checkpoint


def checkpoint_of_run(run_id: str, config: MlflowConfig, given: str) -> Path:
    """The checkpoint of a run at which its FID was lowest, in the run directory that its tag names.

    Args:
        run_id: of a training; a sweep's own run has no checkpoint.
        config: which MLflow.
        given: what the user wrote (`init=mlflow:RUN_ID`), for the messages.

    Raises:
        UserError: MLflow has no such run, or the run's checkpoints are not here.
    """
    run_dir = _run_dir(run_id, config, given)
    last = max(run_dir.glob(PATTERN), default=None)
    if last is None:
        where = "holds no checkpoint" if run_dir.is_dir() else "is not on this machine"
        raise UserError(f"{given}: the run's directory {run_dir} {where}; give a checkpoint file of it")
    history = load_checkpoint(last, torch.device("cpu"))["history"]
    best = checkpoint_path(run_dir, min(history, key=lambda entry: entry[1])[0])
    return best if best.exists() else last


def _run_dir(run_id: str, config: MlflowConfig, given: str) -> Path:
    from mlflow import MlflowClient

    assert config.tracking_uri is not None
    try:
        with first_touch(config.tracking_uri):
            client = MlflowClient(config.tracking_uri)
            tags = client.get_run(run_id).data.tags
    except Exception as error:  # an unknown id, or whatever a driver or transport has to say
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{given}: MLflow at {config.tracking_uri} does not give this run ({reason})") from error
    if RUN_DIR_TAG not in tags:
        raise UserError(f"{given}: this run has no checkpoint (no tag {RUN_DIR_TAG}): it is a sweep's own, or no "
                        "training of clipgan's; give the run of one training, or a checkpoint file")  # fmt: skip
    return Path(tags[RUN_DIR_TAG])
