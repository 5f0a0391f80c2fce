"""Passwords in URIs: they are used, and written nowhere."""

import re

USER = re.compile(r"(?<=://)([^/\s:@]*):[^/\s]*@")  # user:password@
QUERY = re.compile(r"(?i)([?&][\w.-]*(?:password|passwd|token|secret|api_?key)=)[^&\s'\"]*")


def without_passwords(text: str) -> str:
    """A text in which `user:password@` of any URI has become `user:***@`, and `?password=...` likewise."""
    return QUERY.sub(r"\1***", USER.sub(r"\1:***@", text))
