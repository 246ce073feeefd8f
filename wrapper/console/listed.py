"""What a page with a list asks for: a text, a key, and where the page begins."""

from __future__ import annotations

from collections.abc import Mapping

from flask import request

from wrapper.routes.context import principal
from wrapper.services.listing import ListQuery
from wrapper.services.usage.access import readable_key

LONGEST_TEXT = 256
LONGEST_KEY = 64


def list_query(most: int) -> ListQuery:
    """Return the query of the request; a page has at most so many rows."""
    return ListQuery(
        request.args.get("q", "").strip()[:LONGEST_TEXT],
        key_of(request.args),
        max(0, request.args.get("first", 0, int)),
        most,
    )


def key_of(sent: Mapping[str, str]) -> str | None:
    """Return the name of the key that a query or form has, if it has one."""
    return sent.get("key", "").strip()[:LONGEST_KEY] or None


def owner_of(sent: Mapping[str, str], what: str) -> str:
    """Return whose *what* a query or form asks for: the visitor's, or for admins those of a key.

    Raises PermissionDenied where the key is another's and the visitor is no admin.
    """
    key = key_of(sent)
    return readable_key(principal(), key, f"the {what} of {key!r}") or principal().name
