"""Remove passwords from URIs before the program writes or prints them."""

import re

USER = re.compile(r"://([^\s'\":]*):[^\s'\"]*@")  # ://user:password@, where a password may have / and @ in it
TOKEN = re.compile(r"(?i)\b(https?://)[^\s'\"/:@]+@")  # https://token@; a database has a user there
QUERY = re.compile(r"(?i)([?&][\w.-]*(?:password|passwd|pwd|token|secret|api_?key)=)[^&\s'\"]*")


def without_passwords(text: str) -> str:
    """Hide the secrets of URIs in a text: `user:password@` becomes `user:***@`; also `https://token@`, `?password=...`.

    A password ends at the last @ before a space or a quote: hiding too much is safer than hiding too little.
    """
    return QUERY.sub(r"\1***", TOKEN.sub(r"\1***@", USER.sub(r"://\1:***@", text)))
