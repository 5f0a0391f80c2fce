"""The mistakes of a user that a sweep reports in one message, without a traceback."""

from hydra.errors import CompactHydraException


class SweepError(CompactHydraException):
    """Something in the sweep's settings or storage is not allowed: the message quotes it and says what is.

    Hydra prints the message alone and exits with status 1.
    """
