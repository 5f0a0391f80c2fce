"""Look up a path that a user names. What this user may not look up is refused, and never taken for missing.

`Path.is_file`, `is_dir` and `exists` answer no to that from Python 3.14 on, and raise PermissionError before.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

MISSING = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP)


class UnreadableError(PermissionError):
    """This user may not read a path, or not enter a folder above it."""


def is_file(path: Path | str) -> bool:
    """Whether there is a file, or a link to one.

    Raises:
        UnreadableError: this user may not look the path up.
        OSError: its name is too long.
    """
    return stat.S_ISREG(_mode(path))


def is_dir(path: Path | str) -> bool:
    """Whether there is a folder, or a link to one; see `is_file`."""
    return stat.S_ISDIR(_mode(path))


def exists(path: Path | str) -> bool:
    """Whether there is anything; see `is_file`."""
    return _mode(path) != 0


def why_no_file(path: Path | str) -> str:
    """Return what a message says of a path that is no file: `does not exist`, `is a folder`, or `is no file`."""
    mode = _mode(path)
    return "is a folder" if stat.S_ISDIR(mode) else "is no file" if mode else "does not exist"


def _mode(path: Path | str) -> int:
    try:
        return os.stat(path).st_mode
    except ValueError:  # a null character
        return 0
    except OSError as error:
        if error.errno in MISSING:
            return 0
        if error.errno == errno.EACCES:
            raise UnreadableError(error.errno, error.strerror, str(path)) from error
        raise


def check_readable(path: Path | str) -> None:
    """Refuse a file or a folder that is there, and that this user may not read.

    Raises:
        UnreadableError: see above.
    """
    mode = _mode(path)
    if mode and not _may(path, os.R_OK | os.X_OK if stat.S_ISDIR(mode) else os.R_OK):
        raise UnreadableError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def refusal(error: OSError) -> str | None:
    """Return a message if the error says that this user may not read its path.

    None if the error has another reason, such as a folder that cannot be written.
    """
    path = error.filename
    if error.errno != errno.EACCES or path is None:
        return None
    with suppress(OSError):
        if isinstance(error, UnreadableError) or (os.stat(path) and not _may(path, os.R_OK)):
            return f"{path} cannot be opened ({error.strerror}): this user may not read it"
    return None


def _may(path: Path | str, needed: int) -> bool:
    return os.access(path, needed, effective_ids=os.access in os.supports_effective_ids)
