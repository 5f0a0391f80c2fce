"""Checks of values: a value that is not allowed is refused; the message has the key, the value and what is allowed."""

import math
import posixpath
import re
from typing import Any

from clipgan.base.errors import UserError
from clipgan.base.text import as_typed

ENCODINGS = ("utf-8", "utf-16-le", "latin-1", "cp1252", "cp1251", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr")


RESOLUTIONS = "a power of two from 8 to 1024"  # of square images, in pixels


def is_resolution(side: int) -> bool:
    """Whether G can draw images with sides of so many pixels."""
    return 8 <= side <= 1024 and side & (side - 1) == 0


def require(condition: bool, key: str, value: Any, allowed: str) -> None:
    """Refuse a value unless a condition holds.

    Raises:
        UserError: the condition does not hold.
    """
    if not condition:
        raise UserError(f"{key}={as_typed(value)} is not allowed: {key} must be {allowed}")


def one_of(key: str, value: str, allowed: tuple[str, ...], *others: str) -> None:
    """Refuse any name but the allowed ones.

    Args:
        key, value: what is checked.
        allowed: the names.
        others: what is allowed too, for the message.
    """
    require(value in allowed, key, value, "one of " + ", ".join((*allowed, *others)))


def weight(key: str, value: float) -> None:
    """Refuse negative numbers, NaN and infinity."""
    require(math.isfinite(value) and value >= 0, key, value, "a finite number >= 0")


def positive(key: str, value: float) -> None:
    """Refuse zero as well."""
    require(math.isfinite(value) and value > 0, key, value, "a finite number > 0")


def share(key: str, value: float) -> None:
    """Refuse numbers outside [0, 1]."""
    require(0 <= value <= 1, key, value, "between 0 and 1")


def at_least(key: str, value: int, least: int) -> None:
    """Refuse smaller whole numbers."""
    require(value >= least, key, value, f"an integer >= {least}")


def text_encoding(key: str, value: str) -> None:
    """Refuse a name that is no encoding of texts in Python."""
    try:
        b"a".decode(value)
        known = True
    except UnicodeError:  # a known encoding; UTF-16 has no such byte
        known = True
    except (LookupError, ValueError):  # ValueError: a name with a NUL
        known = False
    require(known, key, repr(value), f"an encoding of texts, such as {', '.join(ENCODINGS)}")


def name(key: str, value: str) -> None:
    """Refuse a name that MLflow takes in no metric's key; @ is allowed, and becomes a dash there."""
    fits = re.fullmatch(r"[\w./:@ -]{1,100}", value) and posixpath.normpath(f"_{value}") == f"_{value}"
    require(bool(fits), key, repr(value), "1 to 100 letters, digits, spaces or any of _ - . / : @, "
            "and no path with empty parts or dots")  # fmt: skip
