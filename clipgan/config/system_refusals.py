"""Say what the system has refused: files, disks, memory."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from clipgan.base import lookup, out_of_memory
from clipgan.base.errors import UserError
from clipgan.base.text import printable

SHOWN_NAME = 100  # characters of a name that is too long
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOENT,
              errno.ENOTDIR, errno.EEXIST, errno.EIO, errno.EISDIR, errno.ELOOP, errno.ESTALE, errno.ENOTCONN,
              errno.ENOLCK)  # fmt: skip


@contextmanager
def refusals_as_mistakes() -> Iterator[None]:
    """Turn what the system refuses in the block, memory too, into a UserError with one message."""
    try:
        with out_of_memory.told(out_of_memory.TRAINING):
            yield
    except OSError as error:
        if (message := system_message(error)) is None:
            raise
        raise UserError(message) from error


def system_message(error: OSError, folder_key: str = "hydra.run.dir") -> str | None:
    """Return the message about what the system has refused; None if it is a fault of this program.

    Args:
        error: the system's error.
        folder_key: the setting that chooses the output folder.
    """
    if error.errno == errno.ENAMETOOLONG:
        name = str(error.filename or error)[:SHOWN_NAME]
        return printable(f"a file's name is too long for the file system: {name}...")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{error.strerror}: a higher limit (ulimit -n) lets the same command run"
    if error.errno not in UNWRITABLE:
        return None
    if (message := lookup.refusal(error)) is not None:
        return printable(message)
    where = error.filename or "the output folder"
    return printable(f"{where} cannot be written ({error.strerror}); choose another with {folder_key}=DIR")
