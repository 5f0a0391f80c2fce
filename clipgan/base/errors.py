"""The errors that end a run."""


class UserError(Exception):
    """The user made a mistake: the message quotes the value and names the allowed values."""


class ProcessError(UserError):
    """Another process of a training ended early, for any reason; the same command may succeed the next time."""


class MemoryRanOutError(UserError):
    """There is not enough memory for what was asked."""


class DivergenceError(ArithmeticError):
    """A loss, gradient or embedding is no longer finite: the message names it, the step and its value."""


class Interrupted(BaseException):
    """A signal ended a training, which wrote a checkpoint; the message is the signal's name.

    It is not an `Exception`, so handlers of failures do not catch it.
    """
