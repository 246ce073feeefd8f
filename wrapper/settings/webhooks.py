"""Check the URLs and the secrets of webhooks."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from urllib.parse import urlsplit

SECRET_PREFIX = "whsec_"  # noqa: S105 - it begins every secret
# As Standard Webhooks demands.
SHORTEST_SECRET, LONGEST_SECRET = 24, 64
LONGEST_URL = 2048


def wrong_url(url: str, private_hosts: Collection[str] | None) -> str:
    """Return what is wrong with *url*, without repeating it, or an empty text.

    If *private_hosts* are not known, every host may have http.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, 0
    if not host or port == 0 or parts.scheme not in ("http", "https") or len(url) > LONGEST_URL:
        return "is no URL; write https:// and a host, such as https://example.com/hook"
    if not (url.isascii() and url.isprintable()) or " " in url or parts.fragment:
        return "has characters that cannot be sent; %-escape them, and leave out what follows a #"
    private = private_hosts is None or host in map(str.lower, private_hosts)
    if parts.scheme == "http" and not private:
        return "must begin with https://; WEBHOOK_PRIVATE_HOSTS names hosts that need not have it"
    return ""


def shown_url(url: str) -> str:
    """Return *url* without its login and its query, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def wrong_secret(secret: str) -> str:
    """Return what is wrong with *secret*, without repeating it, or an empty text."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if secret.startswith(SECRET_PREFIX) and SHORTEST_SECRET <= len(key) <= LONGEST_SECRET:
        return ""
    return (
        f"must be {SECRET_PREFIX} and the base64 of {SHORTEST_SECRET} to {LONGEST_SECRET} bytes; "
        f'run: echo "{SECRET_PREFIX}$(openssl rand -base64 32)"'
    )
