"""One process at a time has a run directory."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from clipgan.base.errors import ProcessError
from clipgan.base.run_lock import NAME, exclusive, take
from tests import warm


def hold(folder: Path) -> None:
    """Hold a directory, with a child that outlives this process."""
    take(folder)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (folder / "child.new").write_text(str(child.pid))
    (folder / "child.new").rename(folder / "child")
    time.sleep(60)


def test_the_lock_ends_with_its_process(tmp_path):
    holder = warm.call(hold, tmp_path)
    while not (tmp_path / "child").exists():
        assert holder.poll() is None
        time.sleep(0.01)
    with pytest.raises(ProcessError, match=rf"is in use by process {holder.pid} on .* \(since .*hydra\.run\.dir=DIR"):
        take(tmp_path)
    holder.kill()
    holder.wait()
    with exclusive(tmp_path):
        assert f"process {holder.pid} " not in (tmp_path / NAME).read_text()
    subprocess.run(["kill", (tmp_path / "child").read_text()], check=True)


def test_a_trial_waits_for_the_process_before_it(tmp_path):
    holder = warm.call(hold, tmp_path)
    while not (tmp_path / "child").exists():
        assert holder.poll() is None
        time.sleep(0.01)
    waiting = warm.call(wait_for, tmp_path)
    while not (tmp_path / "waits").exists():
        assert waiting.poll() is None
        time.sleep(0.01)
    subprocess.run(["kill", (tmp_path / "child").read_text()], check=True)
    holder.kill()
    assert waiting.wait(timeout=100) == 0


def wait_for(folder: Path) -> None:
    (folder / "waits").touch()
    with exclusive(folder, patience=90.0):
        pass


def test_a_process_may_take_its_own_directory_again(tmp_path):
    with exclusive(tmp_path), exclusive(tmp_path):
        pass
    with exclusive(tmp_path):  # and after its release
        pass
