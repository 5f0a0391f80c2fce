"""The app, and a database server, as fixtures."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sweeps import postgres as server
from tests.sweeps.sweep_app import App, app_in


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """The app in an empty directory; what it leaves running is killed."""
    with app_in(tmp_path) as app:
        yield app


@pytest.fixture(scope="session")
def postgres() -> Iterator[server.Server]:
    """A PostgreSQL server; tests that need one are skipped where none is installed."""
    reason = server.missing()
    if reason is not None:
        pytest.skip(reason)
    with server.serve() as running:
        yield running
