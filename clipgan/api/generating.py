"""`load_generator`: a trained generator, which draws what prompts say."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clipgan.api.callers_state import callers_state_kept
from clipgan.base.errors import UserError

if TYPE_CHECKING:  # it imports torch
    from clipgan.sampling.sampler import Sampler

DEFAULT_URI = "sqlite:///mlflow.db"


def load_generator(
    run: str | None = None,
    checkpoint: Path | str | None = None,
    device: str = "auto",
    clip_checkpoint: str | None = None,
    mlflow_tracking_uri: str | None = None,
) -> "Sampler":
    """Load a trained generator (its moving average) and the CLIP that encodes its prompts.

    Args:
        run: the id of an MLflow run. Exactly one of `run` and `checkpoint` must be given.
        checkpoint: a checkpoint file of a training.
        device: auto | cpu | cuda | cuda:N.
        clip_checkpoint: the CLIP's weights, if the file that the run used has moved.
        mlflow_tracking_uri: where to look for `run`; None: the environment's MLFLOW_TRACKING_URI, or mlflow.db here.

    Returns:
        A sampler: `draw(prompt, seed)` gives a PIL image; the same prompt and seed always give the same.

    Raises:
        UserError: the model or its CLIP is missing, or both or none of `run` and `checkpoint` are given.
    """
    if (run is None) == (checkpoint is None):
        raise UserError(f"run={run} and checkpoint={checkpoint} are given: give exactly one of the two")
    uri = mlflow_tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    with callers_state_kept():
        from clipgan.base.device import choose_device
        from clipgan.sampling.sampler import open_sampler
        from clipgan.sampling.source import find_source

        source = find_source(run, None if checkpoint is None else Path(checkpoint), uri)
        return open_sampler(source, choose_device(device), clip_checkpoint)
