"""Studies as a fixture."""

from pathlib import Path

import pytest

from tests.sweeps.report.studies import Studies


@pytest.fixture
def studies(tmp_path: Path) -> Studies:
    """Studies in a file of their own."""
    return Studies(tmp_path)
