"""How the command of a sweep ends after a user's mistake (one message, no traceback), and after failed trials."""

from hydra.errors import CompactHydraException

FAILED = 70  # exit status of a command whose trials have failed (EX_SOFTWARE of sysexits.h)


class SweepError(CompactHydraException):
    """The sweep's settings or storage are not allowed: the message quotes the value and names the allowed ones.

    Hydra prints the message alone and exits with status 1.
    """


class NoJobError(SweepError):
    """A cluster takes no job with these settings: no trial is to blame."""
