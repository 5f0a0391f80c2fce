"""The training that tests share."""

import pytest


@pytest.fixture(scope="session")
def run(trained):
    return trained
