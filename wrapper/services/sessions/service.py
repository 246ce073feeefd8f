"""The session service: runs the turns of a session one at a time, and answers /v1/sessions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from wrapper.errors import Conflict, SessionNotFound
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.background.watchdog import CHECK_SECONDS
from wrapper.services.engine import Engine
from wrapper.services.listing import Listing, ListQuery
from wrapper.services.messages.message import ChatMessage
from wrapper.services.principal import Principal
from wrapper.services.sessions.memory_store import MemorySessionStore
from wrapper.services.sessions.redis_store import RedisSessionStore
from wrapper.services.sessions.session import Session, SessionInfo, new_session
from wrapper.services.sessions.session_turn import SessionTurn
from wrapper.services.sessions.store import Claim, ListsSessions, SessionStore
from wrapper.services.spent import Usage, sum_usage
from wrapper.services.tools.config import ToolConfig
from wrapper.services.turn import SessionKey
from wrapper.services.usage.access import readable_key
from wrapper.settings import Settings

SWEEP_SECONDS = 5.0


@dataclass(frozen=True)
class SessionRequest:
    """A request in a session. `again` says that the client may have had the answer before."""

    session_id: str
    messages: tuple[ChatMessage, ...]
    attempt: str = ""
    again: bool = False


class Watch(Protocol):
    """Watches a request that waits, such as a Watchdog."""

    def check(self) -> None:
        """Raise an ApiError if the wait has to end. It is called a few times in a second."""
        ...


@dataclass(frozen=True)
class Stats:
    """Totals of an owner's sessions. `oldest` and `newest` are in Unix seconds."""

    sessions: int
    turns: int
    usage: Usage
    cost_usd: float
    oldest: float | None
    newest: float | None
    parked: int
    resumed: int


class SessionService:
    """Sessions in *store*, whose processes *engine* keeps. *wait* is in seconds of *timer*."""

    def __init__(
        self,
        store: SessionStore,
        engine: Engine,
        *,
        wait: float,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ):
        self._store = store
        self._engine = engine
        self._wait = wait
        self._max_bytes = max_bytes
        self._clock = clock
        self._timer = timer
        self._sweeper = PeriodicTask(self.sweep, SWEEP_SECONDS)
        self._active: set[SessionKey] = set()

    def begin_turn(
        self, asked: SessionRequest, principal: Principal, watchdog: Watch
    ) -> SessionTurn:
        """Wait until no turn of the session runs, and return its next one. It must be closed.

        Raises Conflict after too long a wait, RequestTooLarge, Unavailable, and what *watchdog*
        raises.
        """
        self._sweeper.start()
        until = self._timer() + self._wait
        seconds = min(CHECK_SECONDS, self._wait)
        while (claim := self._store.claim(principal.name, asked.session_id, seconds)) is None:
            watchdog.check()
            if self._timer() >= until:
                raise Conflict(
                    f"Another turn of this session has run for longer than {self._wait:g} s "
                    "(SESSION_WAIT); try again when it is done.",
                    param="session_id",
                    retry=False,
                )
        try:
            session = claim.session or new_session(principal.name, asked.session_id, self._clock())
            session_turn = SessionTurn(
                claim,
                session,
                asked.messages,
                attempt=asked.attempt,
                again=asked.again,
                clock=self._clock,
                closed=partial(self._end_turn, claim, session.head.key),
            )
            session_turn.check(self._max_bytes)
        except BaseException:
            claim.release()
            raise
        self._active.add(session_turn.key)
        return session_turn

    def _end_turn(self, claim: Claim, key: SessionKey) -> None:
        """End a turn. Where its session was not stored, the engine drops what it keeps for it."""
        self._active.discard(key)
        if claim.session is None:
            self._engine.forget(key)

    def heads(self, principal: Principal) -> Sequence[SessionInfo]:
        """Return the caller's sessions, the oldest first."""
        return self._store.heads(principal.name)

    def find(self, principal: Principal, query: ListQuery) -> Listing[SessionInfo]:
        """Return the sessions that *principal* may see, those used last first.

        An admin sees those of all keys, where the store can list them, and else their own. Raises
        PermissionDenied where the query names another's key and *principal* is no admin.
        """
        key = readable_key(principal, query.key, f"the sessions of {query.key!r}")
        store = self._store
        if key is None and isinstance(store, ListsSessions):
            keys = store.keys()
            found = [each for each in keys if query.matches(each[1])]
            return Listing(store.infos(query.page_of(found)), len(found), len(keys), None)
        owner = key or principal.name
        infos = store.heads(owner)
        chosen = [info for info in infos if query.matches(info.key.id)]
        chosen.sort(key=lambda info: info.used, reverse=True)
        return Listing(query.page_of(chosen), len(chosen), len(infos), owner)

    def read(self, principal: Principal, id_: str, key: str | None = None) -> Session:
        """Return a session of *principal*, or as an admin of another *key*.

        Raises SessionNotFound, or PermissionDenied as `find` does.
        """
        if session := self._store.read(_owner(principal, key), id_):
            return session
        raise _missing(id_)

    def configure(self, principal: Principal, id_: str, config: ToolConfig) -> SessionInfo:
        """Set what limits the agents of a session, from its next turn on.

        Raises SessionNotFound, or Conflict while a turn of the session runs.
        """
        claim = self._store.claim(principal.name, id_, CHECK_SECONDS)
        if claim is None:
            raise Conflict(
                "A turn of this session is running; set its tool config when that has ended.",
                param="session_id",
            )
        try:
            if (session := claim.session) is None:
                raise _missing(id_)
            session = replace(session, head=session.head.configured(config))
            claim.save(session)
            return session.head
        finally:
            claim.release()

    def delete(self, principal: Principal, id_: str, key: str | None = None) -> None:
        """Delete a session and what the engine keeps for it. Raises as `read` does."""
        if self._delete(_owner(principal, key), id_) is None:
            raise _missing(id_)

    def _delete(self, owner: str, id_: str) -> SessionInfo | None:
        head = self._store.delete(owner, id_)
        if head:
            self._engine.forget(head.key)
        return head

    def delete_all(self, owner: str) -> int:
        """Delete all sessions of *owner*, and return how many there were. Raises Unavailable."""
        deleted = [
            head for each in self._store.heads(owner) if (head := self._delete(owner, each.key.id))
        ]
        return len(deleted)

    def stats(self, principal: Principal) -> Stats:
        """Return totals of the caller's sessions."""
        heads = self.heads(principal)
        keys = {head.key for head in heads}
        return Stats(
            sessions=len(heads),
            turns=sum(head.turns for head in heads),
            usage=sum_usage(head.usage for head in heads),
            cost_usd=sum(head.cost_usd for head in heads),
            oldest=min((head.created for head in heads), default=None),
            newest=max((head.created for head in heads), default=None),
            parked=len(keys.intersection(self._engine.parked())),
            resumed=sum(head.resumed for head in heads),
        )

    def sweep(self) -> None:
        """Drop what the engine keeps for sessions that are gone, also those that others deleted.

        The session of a running turn is left alone, because a new one is not stored yet.
        """
        parked = self._engine.parked()  # read first, because a turn parks before it ends
        active = frozenset(self._active)
        for key in parked:
            if key not in active and self._is_gone(key):
                self._engine.forget(key)

    def _is_gone(self, key: SessionKey) -> bool:
        session = self._store.read(key.owner, key.id)
        return session is None or session.head.key != key

    def health(self) -> dict[str, Any]:
        return self._store.health()

    def start(self) -> None:
        """Let the store begin to check that it can be reached."""
        self._store.health()

    def close(self) -> None:
        self._sweeper.close()
        self._store.close()


def open_sessions(
    settings: Settings, engine: Engine, store: SessionStore | None = None
) -> SessionService | None:
    """Return the service on *store* or the one of *settings*, or None where neither has one."""
    if store is None:
        store = _open_store(settings)
    if store is None:
        return None
    return SessionService(
        store, engine, wait=settings.session_wait, max_bytes=settings.session_max_bytes
    )


def _open_store(settings: Settings) -> SessionStore | None:
    if settings.session_store == "none":
        return None
    if settings.session_store != "memory":
        return RedisSessionStore(settings.session_store, ttl=settings.session_ttl)
    return MemorySessionStore(
        ttl=settings.session_ttl, count=settings.max_sessions, size=settings.sessions_max_bytes
    )


def _owner(principal: Principal, key: str | None) -> str:
    return readable_key(principal, key, f"the sessions of {key!r}") or principal.name


def _missing(id_: str) -> SessionNotFound:
    return SessionNotFound(f"There is no session {id_[:128]!r}.", param="session_id")
