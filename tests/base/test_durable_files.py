"""What killed writes leave, and what another process writes now."""

import fcntl
import subprocess
import sys

import pytest

from clipgan.base.durable_files import remove_unfinished, replacing
from clipgan.engine.start_run import WRITTEN
from tests.helpers import ROOT

WRITING = """
import sys
from pathlib import Path
from clipgan.base.durable_files import replacing

with replacing(Path(sys.argv[1])) as file:
    file.write(b"the beginning and ")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
    file.write(b"the end")
"""


@pytest.fixture
def writers(tmp_path):
    """Starts processes in the middle of a write."""
    started = []

    def start(name):
        process = subprocess.Popen([sys.executable, "-c", WRITING, str(tmp_path / name)], cwd=ROOT,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
        started.append(process)
        assert process.stdout.readline() == "writing\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_what_a_killed_write_has_left_goes_and_a_live_one_ends_whole(tmp_path, writers):
    killed, live = writers("latest.pt"), writers("checkpoint-000008.pt")
    killed.kill()
    killed.wait()
    assert len(list(tmp_path.glob("*.partial"))) == 2
    (tmp_path / "film.mp4.partial").touch()  # of another program
    (tmp_path / "latest.pt.partial").touch()  # of an earlier version
    remove_unfinished(tmp_path, WRITTEN)
    (tmp_path / "film.mp4.partial").unlink()
    [kept] = tmp_path.iterdir()
    assert kept.match("checkpoint-000008.pt.*.partial")
    live.communicate(timeout=30)
    assert live.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-000008.pt"]
    assert (tmp_path / "checkpoint-000008.pt").read_bytes() == b"the beginning and the end"


def test_a_file_that_is_removed_before_its_lock_is_made_again(tmp_path, monkeypatch):
    path, lock, seen = tmp_path / "latest.pt", fcntl.flock, []

    def late_lock(file, operation):
        if not seen:  # the writer's first lock
            seen.append(operation)
            remove_unfinished(tmp_path, WRITTEN)
            assert not list(tmp_path.iterdir())
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late_lock)
    with replacing(path) as file:
        file.write(b"whole")
    assert [(found, found.read_bytes()) for found in tmp_path.iterdir()] == [(path, b"whole")]


def test_two_writers_at_once_leave_one_whole_file(tmp_path, writers):
    """As two reports of one study: each has a file of its own to write."""
    both = [writers("report.html"), writers("report.html")]
    for process in both:
        process.communicate(timeout=30)
        assert process.returncode == 0
        assert [path.name for path in tmp_path.iterdir() if path.suffix == ".html"] == ["report.html"]
        assert (tmp_path / "report.html").read_bytes() == b"the beginning and the end"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_write_that_fails_leaves_what_there_was(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="disk"), replacing(path):
        raise OSError("disk")
    assert [(found, found.read_bytes()) for found in tmp_path.iterdir()] == [(path, b"before")]
