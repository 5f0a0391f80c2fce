"""What another user may see: tests of permissions, for root only."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that other users may enter; pytest's own ones are private. Skips the test unless root runs it."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be the user `nobody` in the block."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
