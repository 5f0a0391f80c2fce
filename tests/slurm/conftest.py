"""The sweeps' test app, which runs here in Slurm jobs."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sweeps.sweep_app import App, app_in


@pytest.fixture(scope="session")
def slurm() -> None:
    """A Slurm that answers; without one these tests are skipped."""
    if shutil.which("sinfo") is None:
        pytest.skip("no Slurm here (sinfo is not installed); tests/slurm/cluster.sh says how to have one")
    done = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode or not done.stdout.strip():
        conf = os.environ.get("SLURM_CONF", "not set")
        pytest.skip(f"Slurm does not answer (SLURM_CONF is {conf}); as root: tests/slurm/cluster.sh start")
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="pip install hydra-submitit-launcher")


@pytest.fixture
def app(tmp_path: Path, slurm: None) -> Iterator[App]:
    """The app in an empty directory; what it leaves running is killed."""
    with app_in(tmp_path) as app:
        yield app
