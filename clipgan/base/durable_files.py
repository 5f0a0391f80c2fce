"""Files that survive a kill, a full disk and a power cut: whole and new, or as they were before."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a new version of `path`: a file beside it, which is flushed to the disk and then renamed.

    Where the block raises, `path` stays as it was and nothing lies beside it; after a kill, a `.partial` may, which
    `remove_unfinished` deletes.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            with suppress(OSError):  # not every file system has locks
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)  # makes room on a full disk
        if (
            isinstance(error, OSError) and error.errno is not None and error.filename is None
        ):  # the rest of a buffer, written when the file is closed, did not fit either
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    _flush_folder(path.parent)


def replace_text(path: Path, text: str) -> None:
    """Like `Path.write_text`, but the file is replaced whole or not at all."""
    with replacing(path) as file:
        file.write(text.encode())


def remove_unfinished(folder: Path) -> None:
    """Delete the unfinished files of killed processes; a file that another process writes now is locked, and stays."""
    for partial in folder.glob("*.partial"):
        with suppress(OSError), partial.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.unlink()


def _flush_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
