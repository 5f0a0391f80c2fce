"""An MLflow database of a test, and what a run has printed."""

import pytest

from clipgan.config import MlflowConfig


@pytest.fixture
def mlflow_config(tmp_path, mlflow_store):
    return MlflowConfig(tracking_uri=mlflow_store(tmp_path / "store" / "mlflow.db"), experiment="test")


@pytest.fixture
def absent_mlflow(tmp_path):
    """Of a database that is not there yet."""
    return MlflowConfig(tracking_uri=f"sqlite:///{tmp_path}/store/mlflow.db", experiment="test")


@pytest.fixture
def said(capsys):
    """Everything that was printed so far."""
    lines = []

    def so_far():
        lines.append(capsys.readouterr().out)
        return "".join(lines)

    return so_far
