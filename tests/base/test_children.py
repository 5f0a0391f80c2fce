"""Calls in processes of their own: what comes back, and that no death is waited for."""

import multiprocessing
import multiprocessing.util
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from pathlib import Path

import psutil
import pytest

from clipgan.base.children import ChildDied, call_in_processes, exit_status
from clipgan.base.errors import UserError
from tests.warm import ROOT  # not of tests.helpers: each process that is started here would import torch

SECONDS = 60  # no call here takes so long


def write(path: Path, seconds: float) -> None:
    path.write_text(str(os.getpid()))
    time.sleep(seconds)


def refuse(path: Path, value: str) -> None:
    raise UserError(f"{value} is not allowed")


def die(path: Path, number: int) -> None:
    path.touch()
    os.kill(os.getpid(), number)
    time.sleep(SECONDS)


def test_each_call_has_a_process_of_its_own(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    assert call_in_processes(write, [(path, 0.0) for path in paths], at_once=2) == [None] * 3
    assert len({path.read_text() for path in paths} | {str(os.getpid())}) == 4


def test_what_a_call_raises_comes_back_with_where_it_was_raised(tmp_path):
    [error] = call_in_processes(refuse, [(tmp_path, "x=3")], at_once=1)
    assert isinstance(error, UserError)
    assert str(error) == "x=3 is not allowed"
    assert "in refuse" in error.__notes__[0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_after_a_death_no_further_process_is_started(tmp_path, number):
    died, not_started = call_in_processes(die, [(tmp_path / "a", number), (tmp_path / "b", number)], at_once=1)
    assert isinstance(died, ChildDied)
    assert isinstance(not_started, ChildDied)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_may_die_while_another_one_is_being_started(tmp_path, monkeypatch, moment):
    """A `ProcessPoolExecutor` waits for ever where the second one runs already but has not been noted yet."""
    started, spawn = [], multiprocessing.util.spawnv_passfds

    def kill_the_first():
        os.kill(started[0], signal.SIGKILL)
        time.sleep(0.3)

    def spawn_and_kill(path, arguments, handles):
        is_second = len(started) == 1
        if is_second and moment == "before":
            kill_the_first()
        started.append(spawn(path, arguments, handles))
        if is_second and moment == "after":
            kill_the_first()
        return started[-1]

    resource_tracker.ensure_running()  # it is spawned in the same way
    monkeypatch.setattr(multiprocessing.util, "spawnv_passfds", spawn_and_kill)
    begin = time.monotonic()
    died, other = call_in_processes(write, [(tmp_path / "a", SECONDS), (tmp_path / "b", 0.0)], at_once=2)
    assert isinstance(died, ChildDied)
    assert other is None
    assert time.monotonic() - begin < SECONDS


def test_processes_end_with_the_one_that_started_them(tmp_path):
    code = f"""
from pathlib import Path
from clipgan.base.children import call_in_processes
from tests.base.test_children import write
if __name__ == "__main__":
    call_in_processes(write, [(Path({str(tmp_path / "a")!r}), {SECONDS})], at_once=1)
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent, deadline = subprocess.Popen([sys.executable, str(script)], env=environment), time.monotonic() + SECONDS
    while not (tmp_path / "a").exists() or not (tmp_path / "a").read_text():
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child = psutil.Process(int((tmp_path / "a").read_text()))
    parent.kill()
    parent.wait()
    assert psutil.wait_procs([child], timeout=SECONDS / 2)[1] == []


def test_two_threads_see_how_a_process_has_ended():
    """`Process.exitcode` is None for one of them more often than not, though its sentinel has shown the end."""
    for _ in range(5):
        process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(SECONDS,))
        process.start()
        seen = []

        def look(process=process, seen=seen):
            wait([process.sentinel])
            seen.append(exit_status(process))

        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert exit_status(process) is None
        process.kill()
        for thread in threads:
            thread.join()
        assert seen == [-signal.SIGKILL] * 2
