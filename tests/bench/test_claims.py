"""The loop of claims that the bench times: that it measures a study whose trials are all run."""

from pathlib import Path

import pytest

from bench.sweeping import claims


@pytest.mark.slow
def test_two_processes_claim_everything_once(tmp_path: Path) -> None:
    assert claims.per_second(f"sqlite:///{tmp_path}/c.db", 2, 4) > 0  # which asserts that no trial is lost
