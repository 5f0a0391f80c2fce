"""Passwords in URIs: they are used, and written nowhere."""

import re

USER = re.compile(r"://([^\s'\":]*):[^\s'\"]*@")  # ://user:password@, where a password may have / and @ in it
TOKEN = re.compile(r"(?i)\b(https?://)[^\s'\"/:@]+@")  # https://token@; a database has a user there
QUERY = re.compile(r"(?i)([?&][\w.-]*(?:password|passwd|pwd|token|secret|api_?key)=)[^&\s'\"]*")


def without_passwords(text: str) -> str:
    """A text in which any URI's `user:password@` has become `user:***@`, `https://token@` and `?password=...` likewise.

    A password reaches to the last @ before a space or a quote: rather too much is hidden than a part of it shown.
    """
    return QUERY.sub(r"\1***", TOKEN.sub(r"\1***@", USER.sub(r"://\1:***@", text)))
