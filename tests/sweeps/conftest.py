"""The app as a fixture."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_app import App


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """The app in an empty directory; what it leaves running is killed."""
    app = App(tmp_path)
    yield app
    for process in app.processes:
        if process.poll() is None:
            process.kill()
            process.communicate()
