"""A sampler of the training that tests share."""

import mlflow
import pytest
import torch

from clipgan.sampling.sampler import open_sampler
from clipgan.sampling.source import from_checkpoint


@pytest.fixture(scope="session")
def run(trained):
    return trained


@pytest.fixture(scope="session")
def sampler(run):
    return open_sampler(from_checkpoint(run.checkpoint), torch.device("cpu"))


@pytest.fixture(scope="module")
def tracked_run(run):
    """The training, which MLflow's own functions find."""
    mlflow.set_tracking_uri(run.tracking_uri)
    yield run
    mlflow.set_tracking_uri(None)  # it is in the environment, too, where commands of other tests would find it
