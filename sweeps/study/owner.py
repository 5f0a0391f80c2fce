"""Describe the process that runs a trial, and check whether it still lives."""

import os
import socket
from collections.abc import Mapping
from typing import Any

import psutil

SAME_START = 2.0  # seconds; a start time is derived from the boot time, which moves a little with the clock
NAMESPACE = "/proc/self/ns/pid"  # containers may share a host's name, but not its process ids


def this_process() -> dict[str, Any]:
    """Return host, process id and start time (seconds since 1970) of this process."""
    return {**_where(), "pid": os.getpid(), "started": psutil.Process().create_time()}


def is_here(owner: Mapping[str, Any]) -> bool:
    """Whether the owner's process id is valid here: same host, same process-id namespace."""
    return all(owner[key] == value for key, value in _where().items())


def is_dead(owner: Mapping[str, Any]) -> bool:
    """Whether the owner has certainly ended. False for a process on another host, whose state is unknown."""
    if not is_here(owner):
        return False
    try:
        process = psutil.Process(owner["pid"])
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return abs(process.create_time() - owner["started"]) > SAME_START  # another process has this id now
    except psutil.NoSuchProcess:
        return True


def _where() -> dict[str, str]:
    namespace = os.readlink(NAMESPACE) if os.path.exists(NAMESPACE) else ""
    return {"host": socket.gethostname(), "namespace": namespace}
