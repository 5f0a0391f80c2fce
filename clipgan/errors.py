"""The errors that a user can mend, and how entry points show them."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOENT, errno.ENOTDIR)


class UserError(Exception):
    """A mistake in what the user gave: its message quotes the value and says what is allowed."""


class DivergenceError(ArithmeticError):
    """A loss, gradient or embedding is no longer finite: the message names it, the step and its value."""


@contextmanager
def messages_not_tracebacks() -> Iterator[None]:
    """Around an entry point: a user's mistake ends it with one message and status 1.

    Set HYDRA_FULL_ERROR=1 to see the traceback all the same.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        yield
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra lets exceptions through as they are, and they are shown here
    try:
        yield
    except (UserError, HydraException, OmegaConfBaseException) as error:
        sys.exit(str(error))
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        where = error.filename or "the output folder"
        sys.exit(f"{where} cannot be written ({error.strerror}); choose another with hydra.run.dir=DIR")
