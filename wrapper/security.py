"""Who is calling: who has the API key, or, without one, only this machine itself."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Protocol
from urllib.parse import urlsplit

from wrapper.errors import InvalidApiKey, PermissionDenied
from wrapper.settings import Settings, is_loopback


class Headers(Protocol):
    """A request's headers, by names in any case."""

    def get(self, name: str, /) -> str | None: ...


class Guard:
    """Lets a request pass, or raises the reason why not."""

    def __init__(self, settings: Settings):
        self._key = settings.api_key.encode()
        self._origins = frozenset(settings.cors_origins)

    def check(self, headers: Headers, *, host: str, needs_key: bool = True) -> None:
        """Check a request by its *headers* and the *host* that it names, before its body is read.

        Raises InvalidApiKey, or PermissionDenied where a foreign web page may stand behind it.
        """
        if not self._key:
            self._check_local(headers, host)
        elif needs_key:
            self._check_key(headers)

    def _check_key(self, headers: Headers) -> None:
        scheme, _, token = (headers.get("Authorization") or "").partition(" ")
        sent = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key") or ""
        # As the bytes that were sent, which WSGI decodes as Latin-1.
        if not hmac.compare_digest(sent.encode("latin-1", "replace"), self._key):
            what = "The API key is wrong" if sent else "There is no API key in the request"
            raise InvalidApiKey(
                f"{what}; send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'.",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def _check_local(self, headers: Headers, host: str) -> None:
        """Refuse what a web page can send: by another name for this machine, or across sites."""
        if not is_loopback(_name(f"//{host}")):
            raise PermissionDenied(
                f"Without an API key this gateway only answers to localhost, not to {host!r}; "
                "set API_KEY to serve other names."
            )
        origin = headers.get("Origin")
        if origin is not None and origin not in self._origins and not is_loopback(_name(origin)):
            raise PermissionDenied(
                f"Without an API key this gateway refuses calls from web pages of {origin!r}."
            )


def exposed(binds: Iterable[str], settings: Settings) -> str | None:
    """Return the first of a server's *binds* that other machines reach without any key, if any."""
    for bind in binds if not settings.api_key else ():
        if not bind.startswith("unix:") and not is_loopback(_name(f"//{bind}")):
            return bind
    return None


def cors_origins(settings: Settings) -> list[str]:
    """Return the origins that get CORS headers: without a key, never all of them."""
    if "*" in settings.cors_origins and not settings.api_key:
        return []
    return list(settings.cors_origins)


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
