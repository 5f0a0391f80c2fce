"""Write files that survive a kill, a full disk and a power cut: a file is completely new or unchanged."""

import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

DIGITS = 8  # in the name of an unfinished file


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a new version of `path`: write a file beside it, flush it to the disk, then rename it.

    If the block raises, `path` stays unchanged and the new file is deleted. Of two writers at once, the last one to end
    leaves its version. After a kill, a `.partial` file may remain; `remove_unfinished` deletes it.
    """
    partial = path.with_name(f"{path.name}.{secrets.token_hex(DIGITS // 2)}.partial")  # each writer has its own
    try:
        with _made_and_locked(partial) as file:
            yield file
            file.flush()
            _fsync(file.fileno(), path)
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)  # make room on a full disk
        # closing the file writes the rest of its buffer, which may not fit either, and names no file
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(partial)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    flush_path(path.parent)


def _made_and_locked(path: Path) -> BinaryIO:
    """Make a file and lock it; make it again if `remove_unfinished` came between the two."""
    while True:
        file = path.open("wb")
        with suppress(OSError):  # not every file system has locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():
            return file
        file.close()


def replace_text(path: Path, text: str) -> None:
    """Write text like `Path.write_text`, but replace the file completely or not at all."""
    with replacing(path) as file:
        file.write(text.encode())


def remove_unfinished(folder: Path, names: Sequence[str]) -> None:
    """Delete the unfinished files of killed processes. Files that another process writes now are locked, and stay.

    Args:
        folder: where they are.
        names: patterns of the files that this program writes there; other programs also name files `*.partial`.
    """
    written = (".partial", f".{'[0-9a-f]' * DIGITS}.partial")  # the first one is that of earlier versions
    for partial in (path for name in names for end in written for path in folder.glob(f"{name}{end}")):
        with suppress(OSError), partial.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.unlink()


def reserve(file: BinaryIO, size: int) -> None:
    """Give an open file a size in bytes and room on the disk for all of it.

    Writing through a memory map of a file without room kills the process (SIGBUS); here a full disk raises.

    Raises:
        OSError: the disk has no room.
    """
    if hasattr(os, "posix_fallocate") and size > 0:
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        os.truncate(file.fileno(), size)


def flush_tree(folder: Path) -> None:
    """Flush all files and folders below `folder`, and `folder` itself, to the disk."""
    for path in folder.rglob("*"):
        flush_path(path)
    flush_path(folder)


def flush_path(path: Path) -> None:
    """Flush a file's content, or a folder's names (after a rename), to the disk.

    Raises:
        OSError: the disk reports an error, and the message names `path`.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _fsync(descriptor, path)
    finally:
        os.close(descriptor)


def flush_file(file: IO[Any]) -> None:
    """Flush an open file to the disk.

    Raises:
        OSError: the disk reports an error, and the message names the file.
    """
    file.flush()
    _fsync(file.fileno(), file.name)


def _fsync(descriptor: int, path: Path | str) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:  # which names no file
        raise OSError(error.errno, error.strerror, str(path)) from error
