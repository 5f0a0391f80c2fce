"""A sampler of the training that tests share."""

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
