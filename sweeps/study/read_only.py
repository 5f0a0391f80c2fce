"""Read an SQLite file that cannot be written, such as one in another user's folder."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from clipgan.base import lookup


def can_be_written(path: Path) -> bool:
    """Whether a file can be written, or made, and other files beside it."""
    own = {"effective_ids": True} if os.access in os.supports_effective_ids else {}
    return all(os.access(each, os.W_OK, **own) for each in (path, path.parent) if lookup.exists(each))


def connector(path: Path) -> Callable[[], sqlite3.Connection]:
    """Return what connects to a file in a directory where SQLite can make no file.

    The newest trials may be in SQLite's log beside the file. SQLite reads the log with the file `-shm` alone; without
    it, a temporary copy is read.
    """
    log, options, folder = Path(f"{path}-wal"), "immutable=1", None
    if lookup.exists(Path(f"{path}-shm")):
        options = "mode=ro"
    elif lookup.exists(log) and log.stat().st_size:
        folder, options = TemporaryDirectory(), "mode=rw"
        for file in (path, log):
            (Path(folder.name) / file.name).write_bytes(file.read_bytes())
        path = Path(folder.name) / path.name

    def connect(_folder: TemporaryDirectory[str] | None = folder) -> sqlite3.Connection:  # the folder stays till then
        return sqlite3.connect(f"file:{quote(str(path))}?{options}", uri=True, check_same_thread=False)

    return connect
