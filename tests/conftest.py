"""Shared fixtures."""

import os

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # tests reach no network


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory):
    """One cache for all tests that train: encoders are made once."""
    return tmp_path_factory.mktemp("cache")
