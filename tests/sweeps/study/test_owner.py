"""Checks whether the owner of a trial lives."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sweeps.study import owner as module
from sweeps.study.owner import host_tag, is_dead, is_here, this_process

LONG_AGO = {"started": 0.0, "started_after_boot": -1e9}


def test_this_process_lives() -> None:
    assert not is_dead(this_process())


def test_a_reused_process_id_is_another_process() -> None:
    assert is_dead({**this_process(), **LONG_AGO})


def test_a_clock_that_is_set_kills_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux then tells another boot, and so another start of each process, in seconds since 1970."""
    noted = this_process()
    boot, create_time = psutil.boot_time(), psutil.Process.create_time
    monkeypatch.setattr(psutil, "boot_time", lambda: boot + 3600)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create_time(self) + 3600)
    assert this_process() == noted
    assert not is_dead(noted)
    assert is_dead({**noted, **LONG_AGO})


def test_the_state_of_another_host_is_unknown() -> None:
    assert not is_dead({**this_process(), "host": "elsewhere", **LONG_AGO})


def test_machines_that_share_a_name_do_not_see_each_others_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each machine's first namespace of process ids has the same name, too."""
    ended, tag = {**this_process(), **LONG_AGO}, host_tag()
    assert is_dead(ended)
    (tmp_path / "boot_id").write_text("of another machine\n")
    monkeypatch.setattr(module, "BOOT", tmp_path / "boot_id")
    assert not is_here(ended)
    assert not is_dead(ended)
    assert host_tag() != tag


def test_an_owner_that_an_earlier_version_has_noted_is_understood() -> None:
    noted = {name: value for name, value in this_process().items() if name not in ("boot", "started_after_boot")}
    assert not is_dead(noted)
    assert is_dead({**noted, "started": 0.0})
    assert not is_dead({**noted, "host": "elsewhere", **LONG_AGO})


def test_a_zombie_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    owner = {**this_process(), "pid": process.pid, **module.start_of(psutil.Process(process.pid))}
    deadline = time.monotonic() + 60
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_dead(owner)
    process.wait()
    assert is_dead(owner)
