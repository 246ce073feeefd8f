"""The place: where a session is in Redis, and how to read what is there."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from wrapper.errors import BadGateway
from wrapper.logs.redaction import Redacted
from wrapper.services.sessions.codec import Unreadable, decode_head, decode_messages
from wrapper.services.sessions.session import Session, SessionInfo

SETTING = "SESSION_STORE"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RedisKeys:
    """The keys of a session; what stands in owner and id cannot make them another session's."""

    prefix: str
    owner: str
    id: str

    @property
    def name(self) -> str:
        """The session's name in its owner's index."""
        return _name(self.id)

    @property
    def lock(self) -> str:
        return f"{self.prefix}:lock:{_name(self.owner)}:{self.name}"

    @property
    def hash(self) -> str:
        return f"{self.prefix}:session:{_name(self.owner)}:{self.name}"

    @property
    def index(self) -> str:
        return f"{self.prefix}:owner:{_name(self.owner)}"

    def keys(self) -> tuple[str, str, str]:
        """Return the KEYS of all scripts."""
        return self.lock, self.hash, self.index

    def read_session(self, head: bytes | None, messages: bytes, used: bytes) -> Session | None:
        """Raises BadGateway for what was not written here."""
        if head is None:
            return None
        try:
            return Session(self.read_head(head, used), decode_messages(messages))
        except Unreadable as error:
            raise self._unreadable(error) from None

    def read_head(self, head: bytes, used: bytes) -> SessionInfo:
        """Raises BadGateway for what was not written here."""
        try:
            return replace(decode_head(head), used=float(used))
        except (ValueError, TypeError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> BadGateway:
        told = f"{SETTING}: what Redis holds of session {self.id!r} cannot be read; delete it"
        log.error("%s (%s: %s)", told, self.hash, Redacted(error))
        return BadGateway(told, code="session_unreadable", retry=False)


def unname(name: bytes) -> str:
    """Return the id that the *name* in an index stands for."""
    return unquote(name.decode(errors="replace"), errors="surrogatepass")


def _name(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")
