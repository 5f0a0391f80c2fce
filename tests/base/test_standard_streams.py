"""Commands whose standard streams whoever started them has closed."""

import subprocess
import sys

import pytest

from tests.helpers import ROOT

CLOSED = ["sh", "-c", 'exec "$@" <&- >&- 2>errors', "sh", sys.executable]
LOOK = """
import os, stat, sys
from clipgan.base.standard_streams import open_missing
open_missing()
print("dropped")
sys.stdout.flush()
with open("file", "w") as file:
    assert file.fileno() > 2
child = "import os; [os.fstat(each) for each in range(3)]"
os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", child]) and sys.exit("a child has none")
"""


def start(folder, *arguments):
    environment = {"PYTHONPATH": str(ROOT)}
    return subprocess.run([*CLOSED, *arguments], cwd=folder, env=environment, timeout=300, check=False).returncode


def test_no_file_gets_the_descriptor_of_a_stream_that_is_closed(tmp_path):
    assert start(tmp_path, "-c", LOOK) == 0
    assert (tmp_path / "file").read_text() == (tmp_path / "errors").read_text() == ""


@pytest.mark.parametrize("command", ["clipgan.cache_tool info --cache-dir=.", "sweeps.studies list"])
def test_a_command_runs_without_standard_output(tmp_path, command):
    assert start(tmp_path, "-m", *command.split()) in (0, 1)
    assert "Traceback" not in (tmp_path / "errors").read_text()
