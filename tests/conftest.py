"""Shared fixtures."""

import os

import pytest

from tests import warm

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # tests reach no network
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process a core already


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory):
    """One cache for all tests that train, in all of pytest's processes: encoders are made once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    folder.mkdir(exist_ok=True)
    return folder


def pytest_configure(config):
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.warm_template = warm.Template()


def pytest_unconfigure(config):
    if hasattr(config, "warm_template"):
        config.warm_template.close()
