"""The errors that a run ends with."""


class UserError(Exception):
    """A mistake in what the user gave: its message quotes the value and says what is allowed."""


class ProcessError(UserError):
    """Another process of a training has ended before its time, of whatever: the same command may do better."""


class DivergenceError(ArithmeticError):
    """A loss, gradient or embedding is no longer finite: the message names it, the step and its value."""


class Interrupted(BaseException):
    """A signal has ended a training, which has left a checkpoint; the message is the signal's name.

    No `Exception`: nothing that copes with failures may take it for one.
    """
