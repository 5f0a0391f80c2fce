"""`load_generator`: a trained generator, which draws what prompts say."""

from pathlib import Path
from typing import TYPE_CHECKING

from clipgan.api.callers_state import callers_state_kept
from clipgan.api.checks import refuse_two_sources
from clipgan.config.mlflow import tracking_uri

if TYPE_CHECKING:  # it imports torch
    from clipgan.sampling.sampler import Sampler


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
    refuse_two_sources(run, checkpoint)
    with callers_state_kept():
        from clipgan.base.device import choose_device
        from clipgan.sampling.sampler import open_sampler
        from clipgan.sampling.source import find_source

        source = find_source(run, None if checkpoint is None else Path(checkpoint), tracking_uri(mlflow_tracking_uri))
        return open_sampler(source, choose_device(device), clip_checkpoint)
