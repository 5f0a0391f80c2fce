"""Checks whether the owner of a trial lives."""

import subprocess
import sys
import time

import psutil

from sweeps.study.owner import is_dead, this_process


def test_this_process_lives() -> None:
    assert not is_dead(this_process())


def test_a_reused_process_id_is_another_process() -> None:
    assert is_dead({**this_process(), "started": this_process()["started"] - 3600})


def test_the_state_of_another_host_is_unknown() -> None:
    assert not is_dead({**this_process(), "host": "elsewhere", "started": 0.0})


def test_a_zombie_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    owner = {**this_process(), "pid": process.pid, "started": psutil.Process(process.pid).create_time()}
    deadline = time.monotonic() + 10
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_dead(owner)
    process.wait()
    assert is_dead(owner)
