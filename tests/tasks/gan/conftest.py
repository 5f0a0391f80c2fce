"""A configuration of a small training, whose figures go to an MLflow of its own."""

import pytest

from tests.helpers import make_config
from tests.tasks.gan.steps_of_training import with_noise
from tests.tiny import tiny


@pytest.fixture
def configure(cache_dir, tmp_path, mlflow_store):
    uri = mlflow_store(tmp_path / "mlflow.db")
    return lambda *overrides: make_config(*tiny(cache_dir, f"mlflow.tracking_uri={uri}", *overrides))


@pytest.fixture
def make_noisy_training(make_training):
    """Makes a small training whose noise and augmentation show."""
    return lambda *overrides: with_noise(make_training(*overrides))
