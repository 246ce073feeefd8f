"""Endpoints: the URL and the secret of each recipient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from wrapper.services.principal import Principal
from wrapper.services.webhooks.event import OPERATOR, TYPES
from wrapper.settings import Settings


class Keys(Protocol):
    """The keys of API_KEYS_FILE as they are now."""

    def named(self, name: str, /) -> tuple[Principal, str] | None: ...

    def principals(self) -> Iterable[Principal]: ...


@dataclass(frozen=True)
class Endpoint:
    """Where a recipient gets events, and the secret that signs them.

    `private` says that its host may have an address that is not public.
    """

    url: str = field(repr=False)
    secret: str = field(repr=False)
    private: bool = False

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


class Endpoints:
    """The endpoints of the operator, by *settings*, and of the *keys*, if there are any."""

    def __init__(self, settings: Settings, keys: Keys | None):
        self._private_hosts = frozenset(map(str.lower, settings.webhook_private_hosts))
        self._operator = self._endpoint(settings.webhook_url, settings.webhook_secret)
        self._keys = keys

    def any(self) -> bool:
        """Say whether anybody gets events."""
        keys = self._keys.principals() if self._keys else ()
        return self._operator is not None or any(key.webhook_url for key in keys)

    def of(self, recipient: str) -> Endpoint | None:
        """Return the endpoint of *recipient*, or None without one."""
        if recipient == OPERATOR:
            return self._operator
        key = self._key(recipient)
        return self._endpoint(key.webhook_url, key.webhook_secret) if key else None

    def recipients(self, owner: str, type_: str) -> list[str]:
        """Return who gets an event of *owner*.

        The operator also gets the events of callers that are not in API_KEYS_FILE.
        """
        to_operator = "operator" in TYPES[type_].goes_to or self._key(owner) is None
        recipients = [owner, OPERATOR] if to_operator else [owner]
        return [each for each in dict.fromkeys(recipients) if self.of(each)]

    def _key(self, name: str) -> Principal | None:
        known = self._keys.named(name) if self._keys else None
        return known[0] if known else None

    def _endpoint(self, url: str, secret: str) -> Endpoint | None:
        if not url:
            return None
        host = (urlsplit(url).hostname or "").lower()
        return Endpoint(url, secret, private=host in self._private_hosts)
