"""What the Python functions refuse of their arguments."""

from collections.abc import Collection, Mapping, Set
from pathlib import Path

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


def refuse_two_sources(run: str | None, checkpoint: Path | str | None) -> None:
    """Refuse two sources of a generator, and none.

    Raises:
        UserError: both or none of them are given.
    """
    if (run is None) == (checkpoint is None):
        both = f"{run=} and checkpoint={str(checkpoint)!r} are given"
        what = "neither run nor checkpoint is given" if run is None else both
        raise UserError(f"{what}: give exactly one of the two")
