"""Who is calling: who has a key, or, where there is none, only this machine itself."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from wrapper import origins
from wrapper.errors import InvalidApiKey, PermissionDenied
from wrapper.services.principal import DEFAULT, LOCAL, RESERVED, Principal
from wrapper.settings import Settings, is_loopback


class Headers(Protocol):
    """A request's headers, by names in any case."""

    def get(self, name: str, /) -> str | None: ...


class Keys(Protocol):
    """Keys, each somebody's."""

    def find(self, sent: bytes, /) -> Principal | None: ...


class Sent(Protocol):
    """A request, as far as it tells who is calling."""

    @property
    def headers(self) -> Headers: ...

    @property
    def host(self) -> str: ...


# Tells who sends a request that needs a key, or None for someone unknown.
Authenticate = Callable[[Any], Principal | None]


class Guard:
    """Lets a request pass, or raises the reason why not.

    *authenticate*, where it is given, says who is calling, in place of all keys.
    """

    def __init__(
        self,
        settings: Settings,
        keys: Keys | None = None,
        authenticate: Authenticate | None = None,
    ):
        self._key = settings.api_key.encode()
        self._keys = keys
        self._default = replace(DEFAULT, shares=keys is not None)
        self._authenticate = authenticate
        self._origins = origins.patterns(settings.cors_origins)

    @property
    def needs_key(self) -> bool:
        """Say whether callers must tell who they are."""
        return bool(self._key or self._keys or self._authenticate)

    def check(self, request: Sent, needs_key: bool = True) -> Principal | None:
        """Return who sends *request*, before its body is read; None where that does not matter.

        Raises InvalidApiKey, or PermissionDenied where a foreign web page may stand behind it.
        """
        if not self.needs_key:
            self._check_local(request.headers, request.host)
            return LOCAL
        return self._identify(request) if needs_key else None

    def _identify(self, request: Sent) -> Principal:
        sent = _key_in(request.headers)
        known = self._authenticate(request) if self._authenticate else self._holder(sent)
        if known is None:
            raise self._unknown(sent)
        if self._authenticate and known.name in RESERVED:
            raise ValueError(f"authenticate: {known.name!r} is the gateway's own name")
        return known

    def _unknown(self, sent: bytes) -> InvalidApiKey:
        if self._authenticate:  # by what, only it knows
            return InvalidApiKey("Who is calling is not known here.")
        what = "The API key is wrong" if sent else "There is no API key in the request"
        return InvalidApiKey(
            f"{what}; send it as 'Authorization: Bearer KEY', 'x-api-key: KEY' or 'api-key: KEY'.",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _holder(self, sent: bytes) -> Principal | None:
        """Return whose key was sent. Both places are looked at, whatever the first one says."""
        found = self._keys.find(sent) if self._keys else None
        is_default = hmac.compare_digest(sent, self._key)
        return self._default if self._key and is_default else found

    def _check_local(self, headers: Headers, host: str) -> None:
        """Refuse what a web page can send: by another name for this machine, or across sites."""
        if not is_loopback(_name(f"//{host}")):
            raise PermissionDenied(
                f"Without an API key this gateway only answers to localhost, not to {host!r}; "
                "set API_KEY to serve other names."
            )
        origin = headers.get("Origin")
        # Other ports of localhost are same-site; so is what is typed into a browser, or no browser.
        foreign = headers.get("Sec-Fetch-Site") == "cross-site" if origin is None else True
        if foreign and not (origin and self._may_call(origin)):
            page = f"of {origin!r}" if origin else "of another site (Sec-Fetch-Site: cross-site)"
            raise PermissionDenied(
                f"Without an API key this gateway refuses calls from web pages {page}; "
                "name the page's origin in CORS_ORIGINS, or set API_KEY."
            )

    def _may_call(self, origin: str) -> bool:
        listed = any(pattern.match(origin) for pattern in self._origins)
        return listed or is_loopback(_name(origin))


def exposed(binds: Iterable[str], settings: Settings) -> str | None:
    """Return the first of a server's *binds* that other machines reach without any key, if any."""
    for bind in binds if not settings.needs_key else ():
        if not bind.startswith("unix:") and not is_loopback(_name(f"//{bind}")):
            return bind
    return None


def cors_origins(settings: Settings) -> str | list[re.Pattern[str]]:
    """Return the origins that get CORS headers: by default all where there is a key, else none."""
    every = origins.ANY in settings.cors_origins or not settings.cors_origins
    if every and settings.needs_key:
        return origins.ANY
    return origins.patterns(settings.cors_origins)


def _key_in(headers: Headers) -> bytes:
    """Return the key that was sent, as the bytes that came, which WSGI decodes as Latin-1."""
    scheme, _, token = (headers.get("Authorization") or "").partition(" ")
    if scheme.lower() == "bearer":
        sent = token.strip()
    else:  # as Anthropic's clients and as Azure's send it
        sent = headers.get("x-api-key") or headers.get("api-key") or ""
    return sent.encode("latin-1", "replace")


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
