"""Remove passwords from URIs before the program writes or prints them."""

import re
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

USER = re.compile(r"://([^\s'\":]*):[^\s'\"]*@")  # ://user:password@, where a password may have / and @ in it
TOKEN = re.compile(r"(?i)\b(https?://)[^\s'\"/:@]+@")  # https://token@; a database has a user there
QUERY = re.compile(
    r"(?i)([?&;][\w.-]*(?:password|passwd|pwd|token|secret|api_?key|odbc_connect)=)[^&\s'\"]*"
)  # odbc_connect holds a whole connection string, PWD included
WHOLE = re.compile(r"(?s)(\s*['\"]?[\w+.-]+://[^:@]*):.*@")  # a text that is one URI: its password may hold anything
NAME = re.compile(
    r"(?i)secret|passw|pwd|credential|(?:token|(?:api|access|private)_?keys?)$"
)  # of a setting or a variable that holds a secret

_known: set[str] = set()  # passwords of URIs that this process uses


def remember(uri: str | None) -> None:
    """Note the password of a URI that this process uses, so that `without_passwords` finds it inside other texts."""
    if uri is not None and uri.count("://") == 1 and (match := WHOLE.match(uri)):
        password = uri[match.end(1) + 1 : match.end() - 1]
        in_shell = shlex.quote(f"'{password}")[6:-1]  # inside quotes that a shell reads
        spellings = {password, unquote(password), quote(password, safe=""), repr(password)[1:-1], in_shell}
        _known.update(spellings - {"", "***"})


def without_passwords(text: str) -> str:
    """Hide the secrets of URIs in a text: `user:password@` becomes `user:***@`; also `https://token@`, `?password=...`.

    If the text is one URI, its password ends at the last @, and may have spaces and quotes in it. In other texts a
    password ends at the last @ before a space or a quote, unless `remember` was told it: hiding too much is safer than
    hiding too little.
    """
    if text.count("://") == 1 and WHOLE.match(text):
        text = WHOLE.sub(r"\1:***@", text)
    for password in _known:
        text = text.replace(f":{password}@", ":***@")
    return QUERY.sub(r"\1***", TOKEN.sub(r"\1***@", USER.sub(r"://\1:***@", text)))


def hidden(value: Any) -> Any:
    """Copy plain nested values, with `without_passwords` of each text; a text whose key names a secret is hidden."""
    if isinstance(value, Mapping):
        return {key: "***" if _is_secret(key, child) else hidden(child) for key, child in value.items()}
    if isinstance(value, list):
        return [hidden(child) for child in value]
    return without_passwords(value) if isinstance(value, str) else value


def _is_secret(key: Any, value: Any) -> bool:
    """Whether a key's name says that its text is a secret; a reference such as `${oc.env:TOKEN}` is none."""
    return isinstance(value, str | int) and "${" not in str(value) and NAME.search(str(key)) is not None
