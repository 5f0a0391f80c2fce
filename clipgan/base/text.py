"""Texts that messages are made of."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message; its type's name where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
