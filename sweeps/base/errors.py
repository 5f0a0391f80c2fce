"""The error for a user's mistake: a sweep reports it in one message, without a traceback."""

from hydra.errors import CompactHydraException


class SweepError(CompactHydraException):
    """The sweep's settings or storage are not allowed: the message quotes the value and names the allowed ones.

    Hydra prints the message alone and exits with status 1.
    """


class NoJobError(SweepError):
    """A cluster takes no job with these settings: no trial is to blame."""
