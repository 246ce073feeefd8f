"""The Redis store: sessions that workers and machines share."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from wrapper.errors import BadGateway, Conflict, Unavailable
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.listing import Key
from wrapper.services.redis_client import RedisClient, StoreRedis, read_index
from wrapper.services.sessions.codec import encode_head, encode_messages
from wrapper.services.sessions.redis_keys import (
    SETTING,
    RedisKeys,
    index_of_all,
    keys_of,
    session_id_of,
)
from wrapper.services.sessions.redis_scripts import CLAIM, DELETE, RELEASE, RENEW, SAVE
from wrapper.services.sessions.session import Session, SessionInfo
from wrapper.services.turn import SessionKey

PREFIX = "claude-code-gateway:sessions"
# Seconds between two tries for a session that another worker has claimed. A claim of this worker
# notifies when it is released.
POLL = 0.05

log = logging.getLogger(__name__)


class RedisClaim:
    """A lock for a session's next turn; see Claim. Redis stores its `token`."""

    def __init__(self, store: RedisSessionStore, keys: RedisKeys):
        self._store = store
        self.keys = keys
        self.token = uuid.uuid4().hex
        self.session: Session | None = None

    def save(self, session: Session) -> None:
        self._store.put(self, session)

    def release(self) -> None:
        self._store.unlock(self)


class RedisSessionStore:
    """Keeps sessions in the Redis at *url* for *ttl* seconds after their last turn; see Claim.

    A claim is a lock of *hold* seconds. This worker renews it, and its session's time to live, as
    long as it lives. Where Redis's reply to a save is lost, it is unknown whether it was stored.
    """

    def __init__(
        self,
        url: str,
        *,
        ttl: float,
        hold: float = 15.0,
        prefix: str = PREFIX,
        clock: Callable[[], float] = time.time,
    ):
        self._redis = StoreRedis(RedisClient(url, SETTING, decode=False), "sessions")
        self._ttl = ttl
        self._hold = hold
        self._prefix = prefix
        self._clock = clock
        self._claims: dict[str, RedisClaim] = {}
        self._freed = threading.Condition()
        self._renewal = PeriodicTask(self.renew, hold / 3)

    def claim(self, owner: str, id_: str, seconds: float) -> RedisClaim | None:
        self._renewal.start()
        claim = RedisClaim(self, self._keys(owner, id_))
        until = time.monotonic() + seconds
        while (fields := self._run(CLAIM, claim)) is None:
            rest = until - time.monotonic()
            if rest <= 0:
                return None
            with self._freed:
                self._freed.wait(min(rest, POLL))
        with self._freed:
            self._claims[claim.token] = claim
        try:
            claim.session = claim.keys.read_session(*fields)
        except BadGateway:
            claim.release()
            raise
        return claim

    def read(self, owner: str, id_: str) -> Session | None:
        keys = self._keys(owner, id_)
        with self._redis.reached() as client:
            fields: list[Any] = client.hmget(keys.hash, ["head", "messages", "used"])
        return keys.read_session(*fields)

    def heads(self, owner: str) -> Sequence[SessionInfo]:
        index = self._keys(owner).index
        with self._redis.reached() as client:
            names: Any = client.zrange(index, 0, -1)
        keys = [self._keys(owner, session_id_of(name)) for name in names]
        return sorted(self._heads(keys), key=lambda head: (head.created, head.key.id))

    def keys(self) -> Sequence[Key]:
        index = index_of_all(self._prefix)
        with self._redis.reached() as client:
            hashes = [*read_index(client, index)]
        return [(keys.owner, keys.id) for keys in (keys_of(self._prefix, each) for each in hashes)]

    def infos(self, keys: Sequence[Key]) -> Sequence[SessionInfo]:
        return self._heads([self._keys(*key) for key in keys])

    def delete(self, owner: str, id_: str) -> SessionInfo | None:
        keys = self._keys(owner, id_)
        with self._redis.reached() as client:
            fields: Any = client.eval(DELETE, 4, *keys.all(), keys.name)
        if fields is None:
            return None
        self._notify()
        head, used, uid = fields
        try:
            return keys.read_head(head, used)
        except BadGateway:  # it is deleted all the same
            key = SessionKey(owner, id_, (uid or b"").decode(errors="replace"))
            return SessionInfo(key, 0.0, 0.0)

    def health(self) -> dict[str, Any]:
        """Return the state that was seen last, at most a few seconds ago."""
        self._renewal.start()
        return self._redis.health()

    def close(self) -> None:
        self._renewal.close()
        self._redis.close()

    def put(self, claim: RedisClaim, session: Session) -> None:
        """Store *session* if *claim* still holds. Raises Conflict if it does not."""
        head = session.head
        known = claim.session.head.key.uid if claim.session else ""
        fields = (head.key.uid, encode_head(head), encode_messages(session.messages), head.used)
        try:
            result = self._run(SAVE, claim, known, *fields)
        except Unavailable:  # it may be stored all the same, and then needs what the engine keeps
            claim.session = claim.session or session
            raise
        if result != b"saved":
            raise _conflict(deleted=result == b"deleted")
        claim.session = session

    def unlock(self, claim: RedisClaim) -> None:
        with self._freed:
            if self._claims.pop(claim.token, None) is None:
                return
        # A failure is logged, and the lock expires because it is not renewed any more.
        with contextlib.suppress(Unavailable):
            self._run(RELEASE, claim, self._clock(), life=self._ttl)
        self._notify()

    def renew(self) -> None:
        """Renew the claims and check that Redis can be reached. Raises nothing."""
        with self._freed:
            claims = list(self._claims.values())
        with contextlib.suppress(Unavailable), self._redis.reached() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.ping()
            for claim in claims:
                pipeline.eval(RENEW, 4, *self._arguments(claim))
            kept = pipeline.execute()[1:]
            for claim in (claim for claim, held in zip(claims, kept, strict=True) if not held):
                self._forget(claim)

    def _heads(self, sessions: Sequence[RedisKeys]) -> list[SessionInfo]:
        """Return the heads of those *sessions* that are stored."""
        with self._redis.reached() as client:
            pipeline = client.pipeline(transaction=False)
            for keys in sessions:
                pipeline.hmget(keys.hash, ["head", "used"])
            replies = zip(sessions, pipeline.execute(), strict=True)
        return [keys.read_head(*fields) for keys, fields in replies if fields[0] is not None]

    def _forget(self, claim: RedisClaim) -> None:
        with self._freed:
            held = self._claims.pop(claim.token, None)
        if held:
            log.info("the turn of session %r has lost it, or it was deleted", claim.keys.id)

    def _notify(self) -> None:
        with self._freed:
            self._freed.notify_all()

    def _keys(self, owner: str, id_: str = "") -> RedisKeys:
        return RedisKeys(self._prefix, owner, id_)

    def _run(self, script: str, claim: RedisClaim, *more: Any, life: float | None = None) -> Any:
        with self._redis.reached() as client:
            return client.eval(script, 4, *self._arguments(claim, life), *more)

    def _arguments(self, claim: RedisClaim, life: float | None = None) -> tuple[str, ...]:
        """Return KEYS and the first ARGV of a script. A claimed session outlives its lock."""
        lives = (self._hold, self._ttl + self._hold if life is None else life)
        milliseconds = (str(round(seconds * 1000)) for seconds in lives)
        return (*claim.keys.all(), claim.token, *milliseconds, claim.keys.name)


def _conflict(*, deleted: bool) -> Conflict:
    if deleted:
        message = "The session was deleted while this turn ran, which is not remembered."
        return Conflict(message, code="session_deleted", retry=False)
    return Conflict(
        "This turn lost its session, as Redis had not heard of it for too long, and is not "
        "remembered; ask again.",
        code="session_lost",
        retry=False,
    )
