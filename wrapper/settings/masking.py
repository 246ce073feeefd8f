"""What of a secret setting a message may show."""

from __future__ import annotations

import re

MASK = "********"

_URL = re.compile(
    r"(?P<scheme>[a-z]+://)?(?P<user>[^?]*@)?"
    r"(?P<host>(?:[\w.-]+|\[[\w.:]+\])(?::\d{1,5})?(?:/\d*)?)(?P<query>\?[^@]*)?",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]{1,12}", re.IGNORECASE)


def whole(text: str) -> str:
    return MASK if text else ""


def login_of_url(text: str) -> str:
    """Return a URL without its user, password and query. What looks like none is masked whole."""
    if _WORD.fullmatch(text):  # such as memory, or a misspelt one
        return text
    url = _URL.fullmatch(text)
    if not url or not (url["scheme"] or ":" in url["host"]):
        return whole(text)
    user = f"{MASK}@" if url["user"] else ""
    query = f"?{MASK}" if url["query"] else ""
    return f"{url['scheme'] or ''}{user}{url['host']}{query}"
