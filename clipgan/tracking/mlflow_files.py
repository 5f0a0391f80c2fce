"""Send one file, picture or model to a run in MLflow. Each call may take long or raise."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipgan.tracking.shared_weights import share_weights

MODEL_NAME = "generator"  # a folder in a model
NOT_IN_MODELS = str.maketrans(dict.fromkeys("/:.%\"'", "_"))  # characters that MLflow forbids in a model's name


@dataclass
class Model:
    """A model to log."""

    write: Callable[[Path], None]  # makes an MLflow model in the given folder
    step: int
    model_id: str | None = None  # MLflow's id, after the model was announced


@dataclass
class Picture:
    """A PNG in the run directory, `NAME-STEP.png`."""

    path: Path
    step: int
    in_charts: bool = False  # whether MLflow's charts have it: a picture sent twice would be there twice


File = Path | Picture | Model


def name(file: File) -> str:
    """Name a file in a message."""
    path = path_of(file)
    return "the model" if path is None else path.name


def path_of(file: File) -> Path | None:
    """Where a file is in the run directory; None for a model, which is not written yet."""
    if isinstance(file, Model):
        return None
    return file.path if isinstance(file, Picture) else file


def send(client: Any, run_id: str, file: File) -> None:
    """Send one file to a run; a failed call may be repeated.

    Raises:
        Exception: whatever MLflow, its store of files or the disk raises.
    """
    if isinstance(file, Model):
        _send_model(client, run_id, file)
        return
    if isinstance(file, Picture):
        _send_to_charts(client, run_id, file)
    client.log_artifact(run_id, str(path_of(file)))


def give_up(client: Any, file: File) -> None:
    """Say in MLflow that an announced model never came, so that it does not stay PENDING."""
    if isinstance(file, Model) and file.model_id is not None:
        client.finalize_logged_model(file.model_id, "FAILED")


def _send_to_charts(client: Any, run_id: str, picture: Picture) -> None:
    """Send a picture as an image of its step: MLflow's charts have a slider through the steps."""
    from PIL import Image, UnidentifiedImageError

    if picture.in_charts:
        return
    key = picture.path.stem.partition("-")[0]
    with suppress(UnidentifiedImageError), Image.open(picture.path) as image:  # damaged: then only as a file
        image.load()
        client.log_image(run_id, image, key=key, step=picture.step, synchronous=True)
    picture.in_charts = True


def _send_model(client: Any, run_id: str, model: Model) -> None:
    from mlflow.entities import LoggedModelOutput

    run = client.get_run(run_id)
    if run.outputs and any(output.step == model.step for output in run.outputs.model_outputs):
        return  # an earlier process finished this run
    if model.model_id is None:
        announced = client.create_logged_model(
            run.info.experiment_id, run.info.run_name.translate(NOT_IN_MODELS), source_run_id=run_id
        )
        model.model_id = announced.model_id
    with tempfile.TemporaryDirectory() as folder:
        model.write(Path(folder) / MODEL_NAME)
        client.log_model_artifacts(model.model_id, str(Path(folder) / MODEL_NAME))
    share_weights(client.get_logged_model(model.model_id).artifact_location)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, model.step)])
