"""Each test may have a driver of its own."""

import pytest

from sweeps.workers import machine


@pytest.fixture(autouse=True)
def new_driver() -> None:
    """Forget how many GPUs the last test's driver counted."""
    machine._driver_count.cache_clear()
