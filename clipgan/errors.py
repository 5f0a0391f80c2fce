"""The errors that a run ends with."""


class UserError(Exception):
    """A mistake in what the user gave: its message quotes the value and says what is allowed."""


class DivergenceError(ArithmeticError):
    """A loss, gradient or embedding is no longer finite: the message names it, the step and its value."""
