"""Describe the process that runs a trial, and check whether it still lives."""

import functools
import math
import os
import socket
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

SAME_START = 2.0  # seconds by which the same start may be told differently
NAMESPACE = "/proc/self/ns/pid"  # containers may share a host's name, but not its process ids
BOOT = Path("/proc/sys/kernel/random/boot_id")  # machines may share a name, and the first namespace is the same on all


def this_process() -> dict[str, Any]:
    """Return this process's host, boot and namespace of process ids, its id and its start; see `start_of`.

    It is the same at each call, so that a process recognises what it has noted before the clock was set.
    """
    return dict(_described(os.getpid()))


@functools.cache
def _described(pid: int) -> Mapping[str, Any]:
    return {**_where(), "pid": pid, **start_of(psutil.Process(pid))}


def start_of(process: psutil.Process) -> dict[str, float]:
    """When a process started, in seconds since 1970 and since the boot.

    When the clock is set, Linux tells another time since 1970, and macOS another one since the boot.
    """
    since_1970 = process.create_time()
    return {"started": since_1970, "started_after_boot": since_1970 - psutil.boot_time()}


def is_here(owner: Mapping[str, Any]) -> bool:
    """Whether the owner's process id is valid here: same host, same boot, same process-id namespace.

    Earlier versions noted no boot. An owner from before a reboot counts as one on another host: cloned machines may
    share all that a reboot leaves as it is, even /etc/machine-id.
    """
    return all(owner.get(key, value) == value for key, value in _where().items())


def host_tag() -> str:
    """Return a name for files of this host's processes, which no other host has, though it may share the name."""
    return f"{socket.gethostname()}-{zlib.crc32(repr(_where()).encode()):08x}"


def is_dead(owner: Mapping[str, Any]) -> bool:
    """Whether the owner has certainly ended. False for a process on another host, whose state is unknown."""
    if not is_here(owner):
        return False
    try:
        process = psutil.Process(owner["pid"])
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        # earlier versions noted no start after the boot; if neither is the same, another process has this id now
        return all(abs(start - owner.get(key, math.inf)) > SAME_START for key, start in start_of(process).items())
    except psutil.NoSuchProcess:
        return True


def _where() -> dict[str, str]:
    namespace = os.readlink(NAMESPACE) if os.path.exists(NAMESPACE) else ""
    boot = BOOT.read_text().strip() if BOOT.exists() else ""
    return {"host": socket.gethostname(), "namespace": namespace, "boot": boot}
