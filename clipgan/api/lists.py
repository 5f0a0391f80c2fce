"""The lists of texts that the Python functions take."""

from collections.abc import Collection, Mapping, Set

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
    no_lists = str, bytes, Mapping, Set  # a set has no order
    items = given if isinstance(given, Collection) and not isinstance(given, no_lists) else (None,)
    if not all(isinstance(each, str) for each in items):
        raise UserError(f"{name}={given!r} is not allowed: it must be a list of texts, as in {example}")
