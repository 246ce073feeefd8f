"""The stores of sessions: one contract for all, and what is particular to each."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from shop.sessions import ShopStore
from tests.support.redis_server import RedisServer
from tests.support.server import ROOT, eventually
from tests.support.session_stores import HOLD, MemoryKind, RedisKind, ShopKind
from wrapper.errors import BadGateway, Conflict, RequestTooLarge, Unavailable
from wrapper.services.sessions.memory_store import OVERHEAD
from wrapper.services.sessions.redis_store import RedisSessionStore
from wrapper.testing import check_session_store
from wrapper.testing.trial import build_session

pytestmark = pytest.mark.packages

TTL = 100.0
AWAY = r"^SESSION_STORE: Redis cannot be reached; start it, or mend the URL$"
PASSWORD = "a:long/p@ss"
ESCAPED = "a%3Along%2Fp%40ss"


@pytest.fixture
def redis(redis_server):
    kind = RedisKind(redis_server.url)
    yield kind
    kind.close()


@pytest.fixture
def server(tmp_path):
    """A Redis of the test's own, which keeps what it was told when it stops."""
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always").start()
    yield server
    server.stop()


def remember(store, id_="one", owner="alice", **changes):
    """Remember a session by a turn of its own, and return it."""
    session = build_session(owner, id_)
    session = replace(session, head=replace(session.head, **changes))
    claim = store.claim(owner, id_, 0)
    try:
        claim.save(session)
    finally:
        claim.release()
    return session


def take(store, id_="one", seconds=0):
    """Return the claim to a session of alice's."""
    claim = store.claim("alice", id_, seconds)
    assert claim
    return claim


def find(store, id_="one"):
    """Return a session of alice's."""
    session = store.read("alice", id_)
    assert session
    return session


def ids(store, owner="alice"):
    return {head.key.id for head in store.heads(owner)}


@pytest.mark.parametrize("name", ["memory", "redis"])
def test_contract(name, request):
    """Each store is what any store of sessions must be."""
    kind = request.getfixturevalue("redis") if name == "redis" else MemoryKind()
    check_session_store(kind.open, kind.advance)


class Generous(ShopStore):
    """Gives everybody a claim who asks."""

    def claim(self, owner, id_, seconds):
        self.claims.pop((owner, id_), None)
        return super().claim(owner, id_, seconds)


class Impatient(ShopStore):
    """Waits for no claim."""

    def claim(self, owner, id_, seconds):
        return super().claim(owner, id_, 0)


class Fading(ShopStore):
    """Lets sessions expire while their turn runs."""

    def find(self, key):
        claims, self.claims = self.claims, {}
        try:
            return super().find(key)
        finally:
            self.claims = claims


class Read(ShopStore):
    """Takes reading for use."""

    def read(self, owner, id_):
        session = super().read(owner, id_)
        self.touch((owner, id_))
        return session


class Unused(ShopStore):
    """Takes no turn for use."""

    def touch(self, key):
        pass


class Open(ShopStore):
    """Hands out what can be changed."""

    def find(self, key):
        session = super().find(key)
        if session:
            object.__setattr__(session, "messages", list(session.messages))
        return session


class Sorted(ShopStore):
    """Lists sessions by their ids."""

    def heads(self, owner):
        return sorted(super().heads(owner), key=lambda head: head.key.id)


class Clinging(ShopStore):
    """Lets a turn go on with what was deleted."""

    def delete(self, owner, id_):
        claims = dict(self.claims)
        head = super().delete(owner, id_)
        self.claims = claims
        return head


class Loose(ShopStore):
    """Releases whoever has the claim."""

    def release(self, claim):
        if current := self.claims.get(claim.key):
            super().release(current)


class Shared(ShopStore):
    """Shows each owner everybody's sessions."""

    def find(self, key):
        return super().find(("all", key[1]))

    def put(self, claim, session):
        super().put(claim, session)
        self.database.execute("UPDATE OR REPLACE sessions SET owner = 'all'")


class Folding(ShopStore):
    """Takes ids for the same that differ in case."""

    def claim(self, owner, id_, seconds):
        return super().claim(owner, id_.lower(), seconds)


@pytest.mark.parametrize("flaw", ShopStore.__subclasses__(), ids=lambda flaw: flaw.__name__)
def test_contract_that_is_broken(flaw):
    """A store with a flaw does not pass."""
    kind = ShopKind()
    with pytest.raises(AssertionError, match=r"\w+ \w+"):
        check_session_store(lambda ttl: flaw(ttl, lambda: kind.now), kind.advance)


def test_count():
    """Where there is no room for one more, the session that was unused for longest goes."""
    store = MemoryKind(count=3).open(TTL)
    for id_ in "abc":
        remember(store, id_)
    take(store, "a").release()
    store.read("alice", "b")  # which is no use of it
    remember(store, "d")
    assert ids(store) == set("acd")
    remember(store, "d")
    assert ids(store) == set("acd")


def test_size():
    """Where sessions come to more bytes than they may, those unused for longest go."""
    store = MemoryKind(size=4 * (OVERHEAD + 1000)).open(TTL)
    for id_ in "abcd":
        remember(store, id_, size=1000)
    assert ids(store) == set("abcd")
    remember(store, "e", size=1001)
    assert ids(store) == set("cde")
    remember(store, "f", size=4000 + 3 * OVERHEAD)
    assert ids(store) == {"f"}


def test_size_of_one():
    """A session that is larger than all may be is refused, and is as it was before."""
    store = MemoryKind(size=OVERHEAD + 1000).open(TTL)
    before = remember(store, size=1000)
    with pytest.raises(RequestTooLarge, match="SESSIONS_MAX_BYTES") as caught:
        remember(store, size=1001)
    assert (caught.value.code, caught.value.retry) == ("session_too_large", False)
    assert find(store).messages == before.messages
    assert find(store).head.size == 1000


def test_no_room_for_one_in_use():
    """A session whose turn runs is never what goes, and is there when its turn is over."""
    store = MemoryKind(count=2, size=3 * (OVERHEAD + 1000)).open(TTL)
    remember(store, "a", size=1000)
    claim = take(store, "a")
    for id_ in "bcde":
        remember(store, id_, size=1000)
    assert ids(store) == set("ade")
    claim.release()
    assert ids(store) == set("ae")


def test_two_workers(redis):
    """What one worker remembers, another reads, goes on with and deletes."""
    one, two = redis.open(TTL), redis.open(TTL)
    session = remember(one)
    assert find(two).messages == session.messages
    assert ids(two) == {"one"}
    claim = take(one)
    assert two.claim("alice", "one", 0.1) is None
    assert two.delete("alice", "one")
    with pytest.raises(Conflict) as caught:
        claim.save(session)
    assert caught.value.code == "session_deleted"
    remember(two)
    claim.release()
    assert one.claim("alice", "one", 0).session


def test_prefixes(redis, redis_server):
    """Stores with other prefixes know nothing of each other."""
    other = RedisKind(redis_server.url)
    remember(redis.open(TTL))
    assert not ids(other.open(TTL))
    assert other.open(TTL).claim("alice", "one", 0)
    other.close()


def test_slow_turn(redis_server, redis):
    """A turn that takes longer than a lock's life keeps its session, and its claim."""
    store = RedisSessionStore(redis_server.url, ttl=0.5, hold=1.5, prefix=redis.prefix)
    session = remember(store)
    claim = take(store)
    assert store.claim("alice", "one", 2.5) is None
    assert find(store) == claim.session
    claim.save(session)
    claim.release()
    store.close()


@pytest.mark.parametrize("free", ["release", "delete"])
def test_wake(redis, monkeypatch, free):
    """A turn that waits for one of the same worker begins at once when it may."""
    monkeypatch.setattr("wrapper.services.sessions.redis_store.POLL", 50)
    store = redis.open(TTL)
    remember(store)
    claim = take(store)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.claim, "alice", "one", 50)
        assert eventually(lambda: store._freed._waiters)
        claim.release() if free == "release" else store.delete("alice", "one")
        assert waiting.result(20)


def claim_and_wait(url, prefix):
    """Claim a session for a turn that has no end."""
    store = RedisSessionStore(url, ttl=TTL, hold=1.5, prefix=prefix)
    assert store.claim("alice", "one", 0)
    print("ready", flush=True)
    sys.stdin.readline()


def test_dead_worker(redis_server, redis):
    """A worker that dies in a turn holds its session for a moment, and keeps it for no longer."""
    store = redis.open(TTL)
    session = remember(store)
    code = f"from {__name__} import *; claim_and_wait(*sys.argv[1:])"
    worker = subprocess.Popen(
        [sys.executable, "-c", code, redis_server.url, redis.prefix],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with worker:
        assert worker.stdout
        assert worker.stdout.readline() == b"ready\n"
        assert store.claim("alice", "one", 2) is None
        worker.kill()
        worker.wait()
    claim = take(store, seconds=20)
    assert claim.session.messages == session.messages
    claim.release()
    redis.advance(TTL)
    assert redis.keys("session") == []


def test_life_after_death(redis):
    """What nobody holds any more goes by itself, whatever of it there is."""
    store = redis.open(TTL)
    remember(store)
    store.claim("alice", "one", 0)
    store.claim("alice", "two", 0)
    store.close()
    redis.opened.clear()
    redis.advance(HOLD)
    assert redis.keys("lock") == []
    assert store.read("alice", "one")
    redis.advance(TTL)
    assert redis.keys() == []
    store.close()


def test_lost_lock(redis):
    """A turn whose lock was lost is not remembered over the turn that came after it."""
    stalled, other = redis.open(TTL), redis.open(TTL)
    remember(stalled)
    claim = take(stalled)
    redis.client.delete(*redis.keys("lock"))  # as where this worker stood still for too long
    following = take(other)
    later = replace(following.session, messages=())
    following.save(later)
    for _ in range(2):
        with pytest.raises(Conflict, match="lost its session") as caught:
            claim.save(claim.session)
        assert (caught.value.code, caught.value.retry) == ("session_lost", False)
        stalled.renew()
    claim.release()
    assert other.claim("alice", "one", 0) is None
    assert stalled.read("alice", "one") == later


def test_away_and_back(server, caplog):
    """While Redis is away each call says so at once; once it is back all goes on."""
    store = RedisSessionStore(server.url, ttl=TTL)
    session = remember(store)
    claim = take(store)
    server.stop()
    begun = time.monotonic()
    for call in (
        lambda: store.claim("alice", "two", 60),
        lambda: store.read("alice", "one"),
        lambda: store.heads("alice"),
        lambda: store.delete("alice", "one"),
        lambda: claim.save(session),
    ):
        with pytest.raises(Unavailable, match=AWAY):
            call()
    store.renew()
    assert store.health() == {"status": "failing", "error": AWAY.strip("^$")}
    claim.release()
    assert time.monotonic() - begun < 10
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 1
    server.start(server.port)
    assert find(store).messages == session.messages
    assert store.health() == {"status": "ok"}
    store.close()


def test_turn_across_a_restart(server):
    """A turn during which Redis is started again keeps its claim, and is remembered."""
    store = RedisSessionStore(server.url, ttl=TTL)
    remember(store)
    claim = take(store)
    server.stop()
    store.renew()
    server.start(server.port)
    store.renew()
    claim.save(replace(claim.session, messages=()))
    claim.release()
    assert find(store).messages == ()
    store.close()


def test_health_heals(server):
    """A store that nobody uses notices by itself that Redis is away, and that it is back."""
    store = RedisSessionStore(server.url, ttl=TTL, hold=0.3)
    assert store.health() == {"status": "ok"}
    server.stop()
    assert eventually(lambda: store.health()["status"] == "failing")
    server.start(server.port)
    assert eventually(lambda: store.health()["status"] == "ok")
    store.close()


def test_frozen(server):
    """A Redis that does not answer is away, too, and a turn that ends meanwhile raises nothing."""
    store = RedisSessionStore(f"{server.url}?socket_timeout=1", ttl=TTL, hold=1.0)
    session = remember(store)
    claim = take(store)
    server.freeze()
    for call in (lambda: claim.save(session), lambda: store.claim("alice", "two", 60)):
        with pytest.raises(Unavailable, match=AWAY):
            call()
    claim.release()
    server.thaw()
    take(store, seconds=10).release()  # whose lock went by itself
    store.close()


def test_password(tmp_path, caplog):
    """A Redis may want a password, which neither error nor log tells."""
    caplog.set_level(logging.DEBUG)
    server = RedisServer(tmp_path, "--requirepass", PASSWORD).start()
    at = f"@127.0.0.1:{server.port}/0"
    try:
        store = RedisSessionStore(f"redis://:{ESCAPED}{at}", ttl=TTL)
        remember(store)
        wrong = RedisSessionStore(f"redis://:other-{ESCAPED}{at}", ttl=TTL)
        with pytest.raises(Unavailable, match=AWAY):
            remember(wrong)
        store.close()
    finally:
        server.stop()
    with pytest.raises(Unavailable, match=AWAY):
        store.read("alice", "one")
    assert "invalid username-password" in caplog.text
    assert "long" not in caplog.text
    store.close()
    wrong.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:12#secret@127.0.0.1:1/0",
        "redis://:secret@127.0.0.1:secret/0",
        "redis://:secret@127.0.0.1:1/0",
        "unix://:secret@/nowhere/secret.sock",
    ],
)
def test_wrong_url(url, caplog):
    """An address that is wrong is told by its setting, without any of its password."""
    store = RedisSessionStore(url, ttl=TTL)
    with pytest.raises(Unavailable, match=r"^SESSION_STORE: ") as caught:
        store.read("alice", "one")
    assert "secret" not in str(caught.value) + caplog.text
    store.close()


def test_without_redis_py(monkeypatch):
    """Where redis-py is not installed the error says how to install it."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(Unavailable, match=r"pip install 'claude-code-gateway\[redis\]'"):
        RedisSessionStore("redis://127.0.0.1:1/0", ttl=TTL).read("alice", "one")


GARBAGE = [b"", b"\xff\xfe", b"null", b"[1]", b"{}", b'{"key": 1}', b"[" * 100_000, b'"text"']


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda one: repr(one[:12]))
@pytest.mark.parametrize("field", ["head", "messages"])
def test_garbage(redis, field, garbage):
    """What cannot be read is an error that says so, and can be deleted."""
    store = redis.open(TTL)
    remember(store)
    (key,) = redis.keys("session")
    redis.client.hset(key, field, garbage)
    if field == "head":
        with pytest.raises(BadGateway):
            store.heads("alice")
    for _ in range(2):
        with pytest.raises(BadGateway, match="session 'one' cannot be read; delete it") as caught:
            store.claim("alice", "one", 0)
        with pytest.raises(BadGateway):
            store.read("alice", "one")
    assert (caught.value.code, caught.value.retry) == ("session_unreadable", False)
    gone = store.delete("alice", "one")
    assert gone
    assert gone.key.id == "one"
    remember(store)
    assert store.read("alice", "one")


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda one: repr(one[:12]))
def test_garbage_for_a_time(redis, garbage):
    """A time of use that cannot be read is an error, which the next use of the session mends."""
    store = redis.open(TTL)
    remember(store)
    (key,) = redis.keys("session")
    redis.client.hset(key, "used", garbage)
    for call in (lambda: find(store), lambda: ids(store), lambda: take(store)):
        with pytest.raises(BadGateway, match="cannot be read"):
            call()
    assert find(store).head.used == redis.now


@pytest.mark.parametrize("field", ["head", "messages", "used", "uid"])
def test_missing_field(redis, field):
    """A session of which something is missing is an error where that is wanted, and no crash."""
    store = redis.open(TTL)
    uid = remember(store).head.key.uid
    (key,) = redis.keys("session")
    redis.client.hdel(key, field)
    if field in ("messages", "used"):
        with pytest.raises(BadGateway):
            store.claim("alice", "one", 0)
    gone = store.delete("alice", "one")
    assert gone
    assert gone.key.uid == uid
    assert not ids(store)


def test_foreign_key(redis):
    """Where something else has a session's key, Redis refuses, and its reason is told."""
    store = redis.open(TTL)
    remember(store)
    (key,) = redis.keys("session")
    redis.client.set(key, "something", ex=60)
    with pytest.raises(Unavailable, match="SESSION_STORE: Redis refuses: WRONGTYPE"):
        store.read("alice", "one")


def test_list_without_messages(redis):
    """To list sessions takes their heads, and not a byte of their messages."""
    store = redis.open(TTL)
    remember(store)
    (key,) = redis.keys("session")
    redis.client.hdel(key, "messages")
    assert ids(store) == {"one"}


def test_index(redis_server, redis):
    """What has expired does not stay in its owner's index, even if that is never read."""
    store = RedisSessionStore(redis_server.url, ttl=0.2, prefix=redis.prefix)
    for number in range(20):
        remember(store, str(number))
    assert eventually(lambda: not redis.keys("session"))
    remember(store, "last")
    (index,) = redis.keys("owner")
    assert redis.client.zrange(index, 0, -1) == [b"last"]
    store.close()
