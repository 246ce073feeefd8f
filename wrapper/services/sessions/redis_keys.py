"""The Redis keys of a session, and how to read their values."""

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
    """The keys of a session. They are quoted, so that no owner or id reaches another session."""

    prefix: str
    owner: str
    id: str

    @property
    def name(self) -> str:
        """Return the session's name in its owner's index."""
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

    def all(self) -> tuple[str, str, str, str]:
        """Return the KEYS of all scripts."""
        return self.lock, self.hash, self.index, index_of_all(self.prefix)

    def read_session(self, head: bytes | None, messages: bytes, used: bytes) -> Session | None:
        """Raises BadGateway for values that the gateway has not written."""
        if head is None:
            return None
        try:
            return Session(self.read_head(head, used), decode_messages(messages))
        except Unreadable as error:
            raise self._unreadable(error) from None

    def read_head(self, head: bytes, used: bytes) -> SessionInfo:
        """Raises BadGateway for values that the gateway has not written."""
        try:
            return replace(decode_head(head), used=float(used))
        except (ValueError, TypeError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> BadGateway:
        message = f"{SETTING}: what Redis holds of session {self.id!r} cannot be read; delete it"
        log.error("%s (%s: %s)", message, self.hash, Redacted(error))
        return BadGateway(message, code="session_unreadable", retry=False)


def index_of_all(prefix: str) -> str:
    """Return the key of the index of all owners' sessions, which has their hashes' keys."""
    return f"{prefix}:all"


def keys_of(prefix: str, hash_: bytes) -> RedisKeys:
    """Return the keys of the session with this *hash_*."""
    owner, name = hash_.decode(errors="replace").removeprefix(f"{prefix}:session:").split(":")
    return RedisKeys(prefix, *(unquote(each, errors="surrogatepass") for each in (owner, name)))


def session_id_of(name: bytes) -> str:
    """Return the session id for its *name* in an index."""
    return unquote(name.decode(errors="replace"), errors="surrogatepass")


def _name(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")
