"""Take a run directory for one process at a time: the lock ends with the process, however the process ends."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from clipgan.base.errors import ProcessError

NAME = ".lock"  # in the run directory; it stays as long as the directory: a new file could be locked beside the old
RETRY = 0.5  # seconds between two tries of a patient process
_held: dict[Path, BinaryIO] = {}  # the directories that this process has taken


@contextmanager
def exclusive(run_dir: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold a run directory while the block runs; it must exist. A directory that this process holds stays held.

    On a file system without locks, nothing is held.

    Args:
        run_dir: the directory.
        patience: seconds to wait while another process holds it.

    Raises:
        ProcessError: another process holds it; the message names this process.
    """
    path = run_dir.resolve()
    if path in _held:
        yield
        return
    _take(path, patience)
    try:
        yield
    finally:
        _held.pop(path).close()


def take(run_dir: Path) -> None:
    """Hold a run directory, made if missing, until this process ends; errors as of `exclusive`."""
    run_dir.mkdir(parents=True, exist_ok=True)
    if run_dir.resolve() not in _held:
        _take(run_dir.resolve(), 0.0)


def _take(path: Path, patience: float) -> None:
    file = (path / NAME).open("a+b")  # a child process does not inherit the descriptor, and so not the lock
    deadline = time.monotonic() + patience
    try:
        while not _locked(file):
            if time.monotonic() >= deadline:
                file.seek(0)
                holder = file.read().decode(errors="replace").strip() or "another process"
                raise ProcessError(
                    f"{path} is in use by {holder}: a run directory takes one run at a time; wait for its end, or give"
                    " another with hydra.run.dir=DIR"
                )
            time.sleep(RETRY)
        file.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        file.write(f"process {os.getpid()} on {socket.gethostname()} (since {since})\n".encode())
        file.flush()
    except BaseException:
        file.close()
        raise
    _held[path] = file


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
