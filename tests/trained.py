"""One short training, logged to MLflow, for all tests that draw from it or measure it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from clipgan.tracking.mlflow_run import RUN_ID_FILE
from tests.tiny import tiny


@dataclass(frozen=True)
class Run:
    """What the training left."""

    folder: Path
    tracking_uri: str

    @property
    def model(self) -> str:
        """MLflow's address of the model that it logged."""
        import mlflow

        [output] = mlflow.MlflowClient(self.tracking_uri).get_run(self.id).outputs.model_outputs
        return f"models:/{output.model_id}"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint-000001.pt"

    @property
    def id(self) -> str:
        return (self.folder / RUN_ID_FILE).read_text().strip()

    def copy(self, to: Path) -> Path:
        """A copy of the checkpoint, to be changed."""
        return Path(shutil.copy(self.checkpoint, to))


def train_once(cache_dir: Path, folder: Path, uri: str) -> Run:
    """Train in a folder, with an MLflow database in it."""
    from clipgan.tasks.train import train
    from tests.helpers import make_config

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where MLflow keeps the artifacts of a database of its own
        overrides = tiny(cache_dir, "kimg=1", f"mlflow.tracking_uri={uri}", "mlflow.log_model=true")
        train(make_config(*overrides), folder / "run")
    return Run(folder / "run", uri)
