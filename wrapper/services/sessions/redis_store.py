"""The Redis store: sessions that many workers and machines share."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from wrapper.errors import BadGateway, Conflict, Unavailable
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.redis_client import RedisClient, RedisFailed
from wrapper.services.sessions.codec import encode_head, encode_messages
from wrapper.services.sessions.redis_keys import SETTING, RedisKeys, unname
from wrapper.services.sessions.redis_scripts import CLAIM, DELETE, RELEASE, RENEW, SAVE
from wrapper.services.sessions.session import Session, SessionInfo
from wrapper.services.turn import SessionKey

if TYPE_CHECKING:
    from redis import Redis

PREFIX = "claude-code-gateway:sessions"
# Seconds between two looks at a claim that another worker has; one of this worker's tells itself.
POLL = 0.05

log = logging.getLogger(__name__)


class RedisClaim:
    """The right to a session's next turn; see Claim. Redis knows it by its `token`."""

    def __init__(self, store: RedisSessionStore, place: RedisKeys):
        self._store = store
        self.place = place
        self.token = uuid.uuid4().hex
        self.session: Session | None = None

    def save(self, session: Session) -> None:
        self._store.put(self, session)

    def release(self) -> None:
        self._store.give_back(self)


class RedisSessionStore:
    """Sessions in the Redis at *url*, each until *ttl* seconds after its last turn; see Claim.

    A claim is a lock of *hold* seconds that is renewed for as long as this worker lives, and its
    session's life with it. Where the answer to a save is lost, so is whether it was remembered.
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
        self._link = RedisClient(url, SETTING, decode=False)
        self._ttl = ttl
        self._hold = hold
        self._prefix = prefix
        self._clock = clock
        self._claims: dict[str, RedisClaim] = {}
        self._freed = threading.Condition()
        self._failure = ""  # why Redis was last of no use, as anyone may be told
        self._janitor = PeriodicTask(self.renew, hold / 3)

    def claim(self, owner: str, id_: str, seconds: float) -> RedisClaim | None:
        self._janitor.start()
        claim = RedisClaim(self, self._place(owner, id_))
        until = time.monotonic() + seconds
        while (found := self._run(CLAIM, claim)) is None:
            rest = until - time.monotonic()
            if rest <= 0:
                return None
            with self._freed:
                self._freed.wait(min(rest, POLL))
        with self._freed:
            self._claims[claim.token] = claim
        try:
            claim.session = claim.place.read_session(*found)
        except BadGateway:
            claim.release()
            raise
        return claim

    def read(self, owner: str, id_: str) -> Session | None:
        place = self._place(owner, id_)
        with self._reached() as client:
            found: list[Any] = client.hmget(place.hash, ["head", "messages", "used"])
        return place.read_session(*found)

    def heads(self, owner: str) -> Sequence[SessionInfo]:
        index = self._place(owner).index
        with self._reached() as client:
            names: Any = client.zrange(index, 0, -1)
            places = [self._place(owner, unname(name)) for name in names]
            pipeline = client.pipeline(transaction=False)
            for place in places:
                pipeline.hmget(place.hash, ["head", "used"])
            found = zip(places, pipeline.execute(), strict=True)
        heads = [place.read_head(*fields) for place, fields in found if fields[0] is not None]
        return sorted(heads, key=lambda head: (head.created, head.key.id))

    def delete(self, owner: str, id_: str) -> SessionInfo | None:
        place = self._place(owner, id_)
        with self._reached() as client:
            found: Any = client.eval(DELETE, 3, *place.keys(), place.name)
        if found is None:
            return None
        self._tell()
        head, used, uid = found
        try:
            return place.read_head(head, used)
        except BadGateway:  # it is gone all the same
            key = SessionKey(owner, id_, (uid or b"").decode(errors="replace"))
            return SessionInfo(key, 0.0, 0.0)

    def health(self) -> dict[str, Any]:
        """Return the state by what was seen last, which is a few seconds ago at most."""
        self._janitor.start()
        failure = self._failure
        return {"status": "failing", "error": failure} if failure else {"status": "ok"}

    def close(self) -> None:
        self._janitor.close()
        self._link.close()

    def put(self, claim: RedisClaim, session: Session) -> None:
        """Remember *session* for as long as *claim* holds. Raises Conflict where it does not."""
        head = session.head
        known = claim.session.head.key.uid if claim.session else ""
        fields = (head.key.uid, encode_head(head), encode_messages(session.messages), head.used)
        said = self._run(SAVE, claim, known, *fields)
        if said != b"saved":
            raise _conflict(deleted=said == b"deleted")
        claim.session = session

    def give_back(self, claim: RedisClaim) -> None:
        with self._freed:
            if self._claims.pop(claim.token, None) is None:
                return
        # What fails is logged, and the lock goes by itself, as it is renewed no more.
        with contextlib.suppress(Unavailable):
            self._run(RELEASE, claim, self._clock(), life=self._ttl)
        self._tell()

    def renew(self) -> None:
        """Keep the claims that are held, and see whether Redis is there; raises nothing."""
        with self._freed:
            claims = list(self._claims.values())
        with contextlib.suppress(Unavailable), self._reached() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.ping()
            for claim in claims:
                pipeline.eval(RENEW, 3, *self._arguments(claim))
            kept = pipeline.execute()[1:]
            for claim in (claim for claim, held in zip(claims, kept, strict=True) if not held):
                self._forget(claim)

    def _forget(self, claim: RedisClaim) -> None:
        with self._freed:
            held = self._claims.pop(claim.token, None)
        if held:
            log.info("the turn of session %r has lost it, or it was deleted", claim.place.id)

    def _tell(self) -> None:
        with self._freed:
            self._freed.notify_all()

    def _place(self, owner: str, id_: str = "") -> RedisKeys:
        return RedisKeys(self._prefix, owner, id_)

    def _run(self, script: str, claim: RedisClaim, *more: Any, life: float | None = None) -> Any:
        with self._reached() as client:
            return client.eval(script, 3, *self._arguments(claim, life), *more)

    def _arguments(self, claim: RedisClaim, life: float | None = None) -> tuple[str, ...]:
        """Return KEYS and the first ARGV of a script; a session that is held outlives its lock."""
        lives = (self._hold, self._ttl + self._hold if life is None else life)
        milliseconds = (str(round(seconds * 1000)) for seconds in lives)
        return (*claim.place.keys(), claim.token, *milliseconds, claim.place.name)

    @contextlib.contextmanager
    def _reached(self) -> Iterator[Redis]:
        """Give the client; what fails is Unavailable, and is logged when it is new."""
        try:
            with self._link.reached() as client:
                yield client
        except RedisFailed as error:
            if error.reason != self._failure:
                log.error("sessions cannot be kept: %s", error)
            self._failure = error.reason
            raise Unavailable(error.reason) from None
        self._failure = ""


def _conflict(*, deleted: bool) -> Conflict:
    if deleted:
        told = "The session was deleted while this turn ran, which is not remembered."
        return Conflict(told, code="session_deleted", retry=False)
    return Conflict(
        "This turn lost its session, as Redis had not heard of it for too long, and is not "
        "remembered; ask again.",
        code="session_lost",
        retry=False,
    )
