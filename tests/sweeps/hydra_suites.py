"""The tests that Hydra gives to the authors of launchers and sweepers, run on this sweeper.

They are in Hydra's wheel, and so are their fixtures, as a plug-in of pytest. One test of Hydra 1.4 is left out.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, IntegrationTestSuite, LauncherTestSuite

from tests import warm
from tests.warm import ROOT

Plugins.instance()  # each test restores what it found: Hydra 1.4 would not find its own sweeper a second time

OURS = ["hydra/sweeper=study", "hydra.sweeper.workers=1"]
# one test gives the same command twice and wants both to run a job: each has a study of its own
APART = "hydra.sweeper.study_name=at-${now:%H%M%S%f}"

pytestmark = pytest.mark.filterwarnings("ignore:Future Hydra versions will no longer change working directory")


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has its own studies, and commands that start at once."""

    def check_call(command: Sequence[str], env: Mapping[str, str]) -> None:
        warm.run(command, env={**env, "PYTHONPATH": str(ROOT)}, cwd=os.getcwd(), check=True)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "check_call", check_call)


@pytest.mark.parametrize("launcher_name", ["basic"])
@pytest.mark.parametrize("overrides", [OURS])
class TestLauncher(LauncherTestSuite):
    # a failed job ends Hydra's sweep with its exception; here it is recorded, and the sweep goes on
    test_failure_preserves_task_traceback = None


@pytest.mark.parametrize("launcher_name", ["basic"])
@pytest.mark.parametrize("overrides", [[*OURS, "hydra.sweeper.max_batch_size=2"]])
class TestBatches(BatchedSweeperTestSuite):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("task_launcher_cfg", [{}])
@pytest.mark.parametrize("extra_flags", [["-m", *OURS, APART]])
class TestIntegration(IntegrationTestSuite):
    pass
