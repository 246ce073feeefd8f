"""Check who is calling: with keys, their holders; without any, only this machine."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

from wrapper import origins
from wrapper.errors import InvalidApiKey, PermissionDenied
from wrapper.services.principal import DEFAULT, LOCAL, RESERVED, Principal
from wrapper.settings import Settings, is_loopback


class Headers(Protocol):
    """The headers of a request. Names match in any case."""

    def get(self, name: str, /) -> str | None: ...


class Keys(Protocol):
    """A set of keys, each with its holder."""

    def find(self, sent: bytes, /) -> Principal | None: ...

    def named(self, name: str, /) -> tuple[Principal, str] | None: ...


class Request(Protocol):
    """The parts of a request that say who is calling."""

    @property
    def headers(self) -> Headers: ...

    @property
    def host(self) -> str: ...


# Returns who sends a request that needs a key, or None if unknown.
Authenticate = Callable[[Any], Principal | None]


class Guard:
    """Admits a request, or raises the reason why not.

    *authenticate*, if given, replaces all keys and returns who is calling.
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
    def asks_app(self) -> bool:
        """Return whether the app around the gateway says who is calling."""
        return self._authenticate is not None

    @property
    def needs_key(self) -> bool:
        """Return whether callers must identify themselves."""
        return bool(self._key or self._keys or self._authenticate)

    def check(self, request: Request, needs_key: bool = True) -> Principal | None:
        """Return who sends *request*, before its body is read; None if no key is needed.

        Raises InvalidApiKey, or PermissionDenied if a foreign web page may have sent it.
        """
        if not self.needs_key:
            self._check_local(request.headers, request.host)
            return LOCAL
        return self._identify(request) if needs_key else None

    def holder(self, sent: bytes) -> Principal | None:
        """Return the holder of a key. Both comparisons always run, to take the same time."""
        holder = self._keys.find(sent) if self._keys else None
        is_default = hmac.compare_digest(sent, self._key)
        return self._default if self._key and is_default else holder

    def named(self, name: str) -> tuple[Principal, str] | None:
        """Return who has this *name* now, with the hash of their key, or None."""
        if self._key and name == self._default.name:
            return self._default, hashlib.sha256(self._key).hexdigest()
        return self._keys.named(name) if self._keys else None

    def principal(self, name: str) -> Principal | None:
        """Return the caller of this *name* as the keys are now, or None if there is none.

        There never is if the app around the gateway says who is calling.
        """
        if not self.needs_key:
            return LOCAL if name == LOCAL.name else None
        known = None if self._authenticate else self.named(name)
        return known[0] if known else None

    def _identify(self, request: Request) -> Principal:
        sent = _sent_key(request.headers)
        principal = self._authenticate(request) if self._authenticate else self.holder(sent)
        if principal is None:
            raise self._invalid_key(sent)
        if self._authenticate and principal.name in RESERVED:
            raise ValueError(
                f"authenticate: {principal.name!r} is reserved for the gateway; return another name"
            )
        return principal

    def _invalid_key(self, sent: bytes) -> InvalidApiKey:
        if self._authenticate:  # which may not use keys
            return InvalidApiKey("The caller could not be authenticated.")
        problem = "The API key is wrong" if sent else "The request has no API key"
        return InvalidApiKey(
            f"{problem}; send it as 'Authorization: Bearer KEY', "
            "'x-api-key: KEY' or 'api-key: KEY'.",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _check_local(self, headers: Headers, host: str) -> None:
        """Refuse what a foreign web page can send: with another Host, or across sites."""
        if not is_loopback(_hostname(f"//{host}")):
            raise PermissionDenied(
                f"Without an API key this gateway only serves localhost, not {host!r}; "
                "set API_KEY to serve other names."
            )
        origin = headers.get("Origin")
        # Other ports of localhost are same-site. A typed URL sends "none", and a program no header.
        foreign = headers.get("Sec-Fetch-Site") == "cross-site" if origin is None else True
        if foreign and not (origin and self._may_call(origin)):
            page = f"of {origin!r}" if origin else "of another site (Sec-Fetch-Site: cross-site)"
            raise PermissionDenied(
                f"Without an API key this gateway refuses calls from web pages {page}; "
                "name the page's origin in CORS_ORIGINS, or set API_KEY."
            )

    def _may_call(self, origin: str) -> bool:
        listed = any(pattern.match(origin) for pattern in self._origins)
        return listed or is_loopback(_hostname(origin))


def exposed(binds: Iterable[str], settings: Settings) -> str | None:
    """Return the first of a server's *binds* that other machines can reach without a key."""
    for bind in binds if not settings.needs_key else ():
        if not bind.startswith("unix:") and not is_loopback(_hostname(f"//{bind}")):
            return bind
    return None


def cors_origins(settings: Settings) -> str | list[re.Pattern[str]]:
    """Return the origins that get CORS headers: by default all with a key, none without one."""
    every = origins.ANY in settings.cors_origins or not settings.cors_origins
    if every and settings.needs_key:
        return origins.ANY
    return origins.patterns(settings.cors_origins)


def _sent_key(headers: Headers) -> bytes:
    """Return the key in the request, as bytes: WSGI has decoded them as Latin-1."""
    scheme, _, token = (headers.get("Authorization") or "").partition(" ")
    if scheme.lower() == "bearer":
        sent = token.strip()
    else:  # the headers of Anthropic's and Azure's clients
        sent = headers.get("x-api-key") or headers.get("api-key") or ""
    return sent.encode("latin-1", "replace")


@lru_cache
def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
