"""Hydra's own tests of sweepers and launchers pass with this sweeper."""

import sys

from tests import warm
from tests.warm import ROOT


def test_hydras_suites_pass():
    """In a process of their own: they check log files, and other tests of this process leave loggers behind."""
    suites = ROOT / "tests" / "sweeps" / "hydra_suites.py"
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", str(suites)]
    done = warm.run(command, cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stdout
    assert "21 passed" in done.stdout
