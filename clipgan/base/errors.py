"""The errors that a run ends with."""


class UserError(Exception):
    """A mistake of the user: the message quotes the value and says what is allowed."""


class ProcessError(UserError):
    """Another process of a training ended early, for any reason; the same command may succeed the next time."""


class DivergenceError(ArithmeticError):
    """A loss, gradient or embedding is no longer finite: the message names it, the step and its value."""


class Interrupted(BaseException):
    """A signal ended a training, which left a checkpoint; the message is the signal's name.

    It is no `Exception`, so that no handler of failures catches it.
    """
