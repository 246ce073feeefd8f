"""The response stores: their common contract, and the particulars of each."""

from __future__ import annotations

import logging

import pytest

from tests.support.log_records import records_of
from tests.support.redis_server import RedisServer
from tests.support.response_stores import MemoryKind, RedisKind
from wrapper.errors import Unavailable
from wrapper.services.responses.memory_store import OVERHEAD
from wrapper.services.responses.redis_store import PREFIX, RedisResponseStore
from wrapper.services.store_health import StoreHealth
from wrapper.testing import check_response_store

pytestmark = pytest.mark.packages

TTL = 100.0
AWAY = r"^SESSION_STORE: Redis cannot be reached; start it, or mend the URL$"


@pytest.fixture
def redis(redis_server):
    kind = RedisKind(redis_server.url)
    yield kind
    kind.close()


@pytest.fixture
def memory():
    return MemoryKind()


def fill(store, **values):
    for id_, value in values.items():
        assert store.put("alice", id_, value)


def held(store, ids):
    """Return which of *ids* the store has, without using them in another order."""
    values = dict(zip(ids, store.read("alice", list(ids)), strict=True))
    return "".join(id_ for id_ in ids if values[id_] is not None)


@pytest.mark.parametrize("name", ["memory", "redis"])
def test_contract(name, request):
    """Each store fulfils the contract."""
    kind = request.getfixturevalue(name)
    check_response_store(kind.open, kind.advance)


def test_contract_finds_faults(memory):
    """The contract's check fails for a store whose reads are no use."""

    def forgetful(ttl):
        store = memory.open(ttl)
        store.touch = lambda owner, ids: None
        return store

    with pytest.raises(AssertionError, match="reading and touching are uses"):
        check_response_store(forgetful, memory.advance)


def test_bytes():
    """When memory is full, what was used longest ago goes, by bytes."""
    store = MemoryKind(size=3 * (OVERHEAD + 1000)).open(TTL)
    fill(store, a=b"x" * 1000, b=b"x" * 1000, c=b"x" * 1000)
    assert held(store, "a") == "a"
    fill(store, d=b"x" * 1000)
    assert held(store, "abcd") == "acd"
    fill(store, e=b"x" * 2000)
    assert held(store, "acde") == "de"


def test_count():
    """Responses in memory are counted, too."""
    store = MemoryKind(count=2).open(TTL)
    fill(store, a=b"", b=b"", c=b"")
    assert held(store, "abc") == "bc"


def test_order_of_use():
    """Of a path that is used leaf first the leaf goes first, not the root."""
    store = MemoryKind(count=3).open(TTL)
    fill(store, root=b"", middle=b"", leaf=b"")
    store.touch("alice", ["leaf", "middle", "root"])
    fill(store, new=b"")
    assert store.read("alice", ["root", "middle", "leaf"]) == [b"", b"", None]


def test_too_large():
    """What is larger than the memory for all is not kept, and drives out nothing."""
    store = MemoryKind(size=2000).open(TTL)
    fill(store, a=b"x")
    assert store.put("alice", "b", b"x" * 2000) is False
    assert held(store, "ab") == "a"


@pytest.mark.parametrize("name", ["memory", "redis"])
def test_all_keys(name, request, monkeypatch):
    """The responses of all owners can be listed, those used last first, in pages of any size."""
    monkeypatch.setattr("wrapper.services.redis_client.CHUNK", 2)
    kind = request.getfixturevalue("redis") if name == "redis" else MemoryKind()
    store = kind.open(TTL)
    odd = "a:b %*"
    for owner, id_ in (("alice", "1"), (odd, "2"), ("bob", "3"), ("bob", "4")):
        store.put(owner, id_, b"x")
    store.touch("alice", ["1", "none"])
    store.peek(odd, ["2"])
    assert list(store.keys()) == [("alice", "1"), ("bob", "4"), ("bob", "3"), (odd, "2")]
    store.delete("bob", "4")
    assert list(store.keys()) == [("alice", "1"), ("bob", "3"), (odd, "2")]


def test_two_stores(redis):
    """Stores of the same Redis share what they keep."""
    one, other = redis.open(TTL), redis.open(TTL)
    fill(one, a=b"x")
    assert held(other, "a") == "a"
    assert other.delete("alice", "a")
    assert held(one, "a") == ""


def test_keys(redis):
    """Keys in Redis have the name of the gateway, the owner and the id, quoted."""
    redis.open(TTL).put("a:b", "resp_1", b"x")
    owner = f"{redis.prefix}:a%3Ab"
    index = f"{redis.prefix}-all"
    names = {owner, f"{owner}:resp_1", index}
    assert set(redis.keys()) == {name.encode() for name in names}
    assert PREFIX == "claude-code-gateway:responses"


def test_away(tmp_path, caplog):
    """Without Redis each use says so, the log once, and all works again once it is back."""
    server = RedisServer(tmp_path).start()
    store = RedisResponseStore(server.url, ttl=TTL)
    try:
        fill(store, a=b"x")
        server.stop()
        uses = (
            *(lambda: store.put("alice", "b", b""), lambda: store.read("alice", ["a"])),
            *(lambda: store.touch("alice", ["a"]), lambda: store.delete("alice", "a")),
        )
        with caplog.at_level(logging.ERROR):
            for use in uses:
                with pytest.raises(Unavailable, match=AWAY):
                    use()
        assert len(records_of(caplog, StoreHealth)) == 1
        assert store.health()["status"] == "failing"
        server.start(server.port)
        store.look()
        assert store.health() == {"status": "ok"}
    finally:
        store.close()
        server.stop()


def test_health_looks(tmp_path):
    """A look finds that Redis is away before anything has used it."""
    store = RedisResponseStore("redis://127.0.0.1:1/0", ttl=TTL)
    try:
        store.look()
        assert store.health()["status"] == "failing"
    finally:
        store.close()
