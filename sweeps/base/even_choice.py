"""An even choice of many things: of steps, or of trials."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def evenly(items: Sequence[T], at_most: int) -> list[T]:
    """Choose at most `at_most` items (2 or more), evenly spaced, the first and the last included."""
    if len(items) <= at_most:
        return list(items)
    return [items[round(index * (len(items) - 1) / (at_most - 1))] for index in range(at_most)]
