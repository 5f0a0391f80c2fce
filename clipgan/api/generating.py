"""`load_generator`: a trained generator, which draws what prompts say."""

from pathlib import Path
from typing import TYPE_CHECKING

from clipgan.api.callers_state import callers_state_kept
from clipgan.base.errors import UserError
from clipgan.base.mlflow_store import tracking_uri

if TYPE_CHECKING:  # it imports torch
    from clipgan.sampling.sampler import Sampler


def refuse_two_sources(run: str | None, checkpoint: Path | str | None) -> None:
    """Refuse two sources of a generator, and none.

    Raises:
        UserError: both or none of them are given.
    """
    if (run is None) == (checkpoint is None):
        what = (
            "neither run nor checkpoint is given"
            if run is None
            else f"{run=} and checkpoint={str(checkpoint)!r} are given"
        )
        raise UserError(f"{what}: give exactly one of the two")


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
