"""The session stores: their common contract, and the particulars of each."""

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
from tests.support.log_records import records_of
from tests.support.lost_answers import lose_once
from tests.support.redis_server import RedisServer
from tests.support.server import ROOT, eventually
from tests.support.session_stores import HOLD, MemoryKind, RedisKind, ShopKind
from wrapper.errors import BadGateway, Conflict, RequestTooLarge, Unavailable
from wrapper.services.sessions.memory_store import OVERHEAD
from wrapper.services.sessions.redis_store import RedisSessionStore
from wrapper.services.store_health import StoreHealth
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
    """A Redis of the test's own that keeps its data when it stops."""
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always").start()
    yield server
    server.stop()


def remember(store, id_="one", owner="alice", **changes):
    """Store a session in a turn of its own, and return it."""
    session = build_session(owner, id_)
    session = replace(session, head=replace(session.head, **changes))
    claim = store.claim(owner, id_, 0)
    try:
        claim.save(session)
    finally:
        claim.release()
    return session


def take(store, id_="one", seconds=0):
    """Claim a session of alice's."""
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
    """Each store fulfils the contract."""
    kind = request.getfixturevalue("redis") if name == "redis" else MemoryKind()
    check_session_store(kind.open, kind.advance)


class Generous(ShopStore):
    """Gives every caller a claim."""

    def claim(self, owner, id_, seconds):
        self.claims.pop((owner, id_), None)
        return super().claim(owner, id_, seconds)


class Impatient(ShopStore):
    """Does not wait for a claim."""

    def claim(self, owner, id_, seconds):
        return super().claim(owner, id_, 0)


class Fading(ShopStore):
    """Expires sessions while their turn runs."""

    def find(self, key):
        claims, self.claims = self.claims, {}
        try:
            return super().find(key)
        finally:
            self.claims = claims


class Read(ShopStore):
    """Counts reading as use."""

    def read(self, owner, id_):
        session = super().read(owner, id_)
        self.touch((owner, id_))
        return session


class Unused(ShopStore):
    """Does not count a turn as use."""

    def touch(self, key):
        pass


class Open(ShopStore):
    """Returns mutable sessions."""

    def find(self, key):
        session = super().find(key)
        if session:
            object.__setattr__(session, "messages", list(session.messages))
        return session


class Sorted(ShopStore):
    """Lists sessions in the order of their ids."""

    def heads(self, owner):
        return sorted(super().heads(owner), key=lambda head: head.key.id)


class Clinging(ShopStore):
    """Stores a turn of a deleted session."""

    def delete(self, owner, id_):
        claims = dict(self.claims)
        head = super().delete(owner, id_)
        self.claims = claims
        return head


class Loose(ShopStore):
    """Releases a claim that another turn holds."""

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
    """Ignores the case of ids."""

    def claim(self, owner, id_, seconds):
        return super().claim(owner, id_.lower(), seconds)


@pytest.mark.parametrize("flaw", ShopStore.__subclasses__(), ids=lambda flaw: flaw.__name__)
def test_contract_that_is_broken(flaw):
    """The contract finds each flawed store."""
    kind = ShopKind()
    with pytest.raises(AssertionError, match=r"\w+ \w+"):
        check_session_store(lambda ttl: flaw(ttl, lambda: kind.now), kind.advance)


@pytest.mark.parametrize("name", ["memory", "redis"])
def test_all_keys(name, request, monkeypatch):
    """The sessions of all owners can be listed, those used last first, also while turns run."""
    monkeypatch.setattr("wrapper.services.redis_client.CHUNK", 2)
    kind = request.getfixturevalue("redis") if name == "redis" else MemoryKind()
    store = kind.open(TTL)
    odd = "a:b %*"
    used = [("alice", "1"), (odd, "2:%"), ("bob", "3")]
    for owner, id_ in used:
        remember(store, id_, owner)
        time.sleep(0.002)  # Redis's clock tells the order
    assert list(store.keys()) == used[::-1]
    claim = take(store, "1")
    assert list(store.keys()) == [used[0], *used[:0:-1]]
    infos = store.infos([*store.keys(), ("bob", "none")])
    assert [(info.key.owner, info.key.id) for info in infos] == [used[0], *used[:0:-1]]
    claim.release()
    store.delete("bob", "3")
    assert set(store.keys()) == set(used[:2])
    kind.advance(TTL + HOLD + 1)
    assert list(store.infos(used)) == []


def test_count():
    """A full store evicts the least recently used session."""
    store = MemoryKind(count=3).open(TTL)
    for id_ in "abc":
        remember(store, id_)
    take(store, "a").release()
    store.read("alice", "b")  # reading is no use
    remember(store, "d")
    assert ids(store) == set("acd")
    remember(store, "d")
    assert ids(store) == set("acd")


def test_size():
    """When sessions take too many bytes, the least recently used ones go."""
    store = MemoryKind(size=4 * (OVERHEAD + 1000)).open(TTL)
    for id_ in "abcd":
        remember(store, id_, size=1000)
    assert ids(store) == set("abcd")
    remember(store, "e", size=1001)
    assert ids(store) == set("cde")
    remember(store, "f", size=4000 + 3 * OVERHEAD)
    assert ids(store) == {"f"}


def test_size_of_one():
    """A session larger than the whole store is refused and stays as it was."""
    store = MemoryKind(size=OVERHEAD + 1000).open(TTL)
    before = remember(store, size=1000)
    with pytest.raises(RequestTooLarge, match="SESSIONS_MAX_BYTES") as caught:
        remember(store, size=1001)
    assert (caught.value.code, caught.value.retry) == ("session_too_large", False)
    assert find(store).messages == before.messages
    assert find(store).head.size == 1000


def test_no_room_for_one_in_use():
    """A claimed session is never evicted."""
    store = MemoryKind(count=2, size=3 * (OVERHEAD + 1000)).open(TTL)
    remember(store, "a", size=1000)
    claim = take(store, "a")
    for id_ in "bcde":
        remember(store, id_, size=1000)
    assert ids(store) == set("ade")
    claim.release()
    assert ids(store) == set("ae")


def test_two_workers(redis):
    """One worker reads, continues and deletes the sessions of another."""
    first, second = redis.open(TTL), redis.open(TTL)
    session = remember(first)
    assert find(second).messages == session.messages
    assert ids(second) == {"one"}
    claim = take(first)
    assert second.claim("alice", "one", 0.1) is None
    assert second.delete("alice", "one")
    with pytest.raises(Conflict) as caught:
        claim.save(session)
    assert caught.value.code == "session_deleted"
    remember(second)
    claim.release()
    assert first.claim("alice", "one", 0).session


def test_prefixes(redis, redis_server):
    """Stores with different prefixes are separate."""
    other = RedisKind(redis_server.url)
    remember(redis.open(TTL))
    assert not ids(other.open(TTL))
    assert other.open(TTL).claim("alice", "one", 0)
    other.close()


def test_slow_turn(redis_server, redis):
    """A turn longer than the lock's time to live keeps its session and claim."""
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
    """A turn that waits for another one of the same worker begins as soon as that ends."""
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
    """The claim of a worker that died expires soon, and so does its session in time."""
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
    """All keys of sessions that nobody uses expire."""
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


def test_lost_answer(redis):
    """A session that may be stored counts as stored, so that nothing of it is dropped."""
    store = redis.open(TTL)
    claim, session = take(store), build_session("alice", "one")
    store._run = lose_once(store._run)
    with pytest.raises(Unavailable):
        claim.save(session)
    assert claim.session == session == find(store)
    claim.release()


def test_lost_lock(redis):
    """A turn that lost its lock does not overwrite the turn after it."""
    stalled, other = redis.open(TTL), redis.open(TTL)
    remember(stalled)
    claim = take(stalled)
    redis.client.delete(*redis.keys("lock"))  # as if this worker had stood still for too long
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
    """While Redis is away each call raises at once; once it is back the store works."""
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
    assert len(records_of(caplog, StoreHealth)) == 1
    server.start(server.port)
    assert find(store).messages == session.messages
    assert store.health() == {"status": "ok"}
    store.close()


def test_turn_across_a_restart(server):
    """A turn keeps its claim while Redis restarts, and is stored."""
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
    """An idle store notices that Redis is away and that it is back."""
    store = RedisSessionStore(server.url, ttl=TTL, hold=0.3)
    assert store.health() == {"status": "ok"}
    server.stop()
    assert eventually(lambda: store.health()["status"] == "failing")
    server.start(server.port)
    assert eventually(lambda: store.health()["status"] == "ok")
    store.close()


def test_frozen(server):
    """A Redis that does not reply counts as away, and releasing a claim then raises nothing."""
    store = RedisSessionStore(f"{server.url}?socket_timeout=1", ttl=TTL, hold=1.0)
    session = remember(store)
    claim = take(store)
    server.freeze()
    for call in (lambda: claim.save(session), lambda: store.claim("alice", "two", 60)):
        with pytest.raises(Unavailable, match=AWAY):
            call()
    claim.release()
    server.thaw()
    take(store, seconds=10).release()  # its lock has expired
    store.close()


def test_password(tmp_path, caplog):
    """The password of Redis is in no error and no log."""
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
    """The error for a wrong URL names the setting and hides the password."""
    store = RedisSessionStore(url, ttl=TTL)
    with pytest.raises(Unavailable, match=r"^SESSION_STORE: ") as caught:
        store.read("alice", "one")
    assert "secret" not in str(caught.value) + caplog.text
    store.close()


def test_without_redis_py(monkeypatch):
    """Without redis-py the error says how to install it."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(Unavailable, match=r"pip install 'claude-code-gateway\[redis\]'"):
        RedisSessionStore("redis://127.0.0.1:1/0", ttl=TTL).read("alice", "one")


GARBAGE = [b"", b"\xff\xfe", b"null", b"[1]", b"{}", b'{"key": 1}', b"[" * 100_000, b'"text"']


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda data: repr(data[:12]))
@pytest.mark.parametrize("field", ["head", "messages"])
def test_garbage(redis, field, garbage):
    """An unreadable session is an error that says so, and can be deleted."""
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


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda data: repr(data[:12]))
def test_garbage_for_a_time(redis, garbage):
    """An unreadable time of use is an error until the next use of the session."""
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
    """An incomplete session is an error only where the missing part is needed."""
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
    """Where a session's key has another type, the error gives Redis's reason."""
    store = redis.open(TTL)
    remember(store)
    (key,) = redis.keys("session")
    redis.client.set(key, "something", ex=60)
    with pytest.raises(Unavailable, match="SESSION_STORE: Redis refuses: WRONGTYPE"):
        store.read("alice", "one")


def test_list_without_messages(redis):
    """Listing sessions reads their heads and not their messages."""
    store = redis.open(TTL)
    remember(store)
    (key,) = redis.keys("session")
    redis.client.hdel(key, "messages")
    assert ids(store) == {"one"}


def test_index(redis_server, redis):
    """Expired sessions leave their owner's index, even if it is never read."""
    store = RedisSessionStore(redis_server.url, ttl=0.2, prefix=redis.prefix)
    for number in range(20):
        remember(store, str(number))
    assert eventually(lambda: not redis.keys("session"))
    remember(store, "last")
    (index,) = redis.keys("owner")
    assert redis.client.zrange(index, 0, -1) == [b"last"]
    store.close()
