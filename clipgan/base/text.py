"""Parts of messages."""

import re

# C0 and C1 control characters but tab and newline, marks that reorder a line (bidi), and halves of characters
UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or its type's name if the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def printable(text: str) -> str:
    """Escape what would change a terminal or cannot be printed, such as `\\x1b` (a colour, a title, a lost line)."""
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
