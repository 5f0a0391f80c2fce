"""Look up a path that a user names. What this user may not look up is refused, and never taken for missing.

`Path.is_file`, `is_dir` and `exists` answer no to that from Python 3.14 on, and raise PermissionError before.
"""

import errno
import os
import stat
from pathlib import Path

MISSING = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP)


def is_file(path: Path | str) -> bool:
    """Whether there is a file, or a link to one.

    Raises:
        OSError: this user may not look the path up, or its name is too long.
    """
    return stat.S_ISREG(_mode(path))


def is_dir(path: Path | str) -> bool:
    """Whether there is a folder, or a link to one; see `is_file`."""
    return stat.S_ISDIR(_mode(path))


def exists(path: Path | str) -> bool:
    """Whether there is anything; see `is_file`."""
    return _mode(path) != 0


def _mode(path: Path | str) -> int:
    try:
        return os.stat(path).st_mode
    except ValueError:  # a null character
        return 0
    except OSError as error:
        if error.errno in MISSING:
            return 0
        raise


def refusal(error: OSError) -> str | None:
    """Return a message if this user may not read the error's path, or not enter a folder above it.

    None if the error has another reason, such as a folder that cannot be written.
    """
    path = error.filename
    if error.errno != errno.EACCES or path is None:
        return None
    try:
        os.stat(path)
    except PermissionError:
        closed = True
    except OSError:
        closed = False
    else:
        closed = not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)
    return f"{path} cannot be opened ({error.strerror}): this user may not read it" if closed else None
