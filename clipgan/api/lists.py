"""The lists of texts that the Python functions take."""

from collections.abc import Sequence

from clipgan.base.errors import UserError


def refuse_no_list(name: str, given: object, example: str) -> None:
    """Refuse anything but a list of texts; Python would take one text for a list of its letters.

    Args:
        name: of the argument.
        given: its value.
        example: of a list, as Python writes it.

    Raises:
        UserError: quotes the value.
    """
    fits = isinstance(given, Sequence) and not isinstance(given, str) and all(isinstance(each, str) for each in given)
    if not fits:
        raise UserError(f"{name}={given!r} is not allowed: it must be a list of texts, as in {example}")
