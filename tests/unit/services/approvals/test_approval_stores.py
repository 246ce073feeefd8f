"""The stores of approvals: in memory, and in Redis."""

import contextlib
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
from redis import Redis

from tests.support.clock import Clock
from tests.support.server import eventually
from tests.support.threads import no_thread
from wrapper.errors import Unavailable
from wrapper.services.approvals import redis_waiter
from wrapper.services.approvals.approval import Approval, Asker, Decision
from wrapper.services.approvals.codec import encode_decision
from wrapper.services.approvals.memory_store import MemoryApprovalStore
from wrapper.services.approvals.redis_store import RedisApprovalStore
from wrapper.services.approvals.redis_waiter import LOST
from wrapper.services.approvals.store import KEPT_SECONDS, Room, TooManyApprovals

ROOM = Room(most=3, most_of_key=2)
APPROVED = Decision("approved", "session", by="alice")


def approval(owner="alice", created=1.0, **more):
    return Approval(
        id=f"apr_{uuid.uuid4().hex}",
        asker=Asker(owner, "req_1", "s"),
        tool="Write",
        input={"content": "lone \ud800"},
        preview="+x",
        session_rule="Write",
        created=created,
        expires=created + 60,
        **more,
    )


@pytest.fixture
def open_redis(redis_server):
    """Return a function that opens stores on one Redis, each as another worker would."""
    prefix = f"test:{uuid.uuid4().hex}"
    with contextlib.ExitStack() as stack:

        def make(**options):
            store = RedisApprovalStore(redis_server.url, "X", ROOM, prefix=prefix, **options)
            stack.callback(store.close)
            return store

        make.prefix = prefix  # type: ignore[attr-defined]
        yield make


@pytest.fixture(params=["memory", "redis"])
def store(request):
    if request.param == "memory":
        return MemoryApprovalStore(ROOM)
    return request.getfixturevalue("open_redis")()


class Notified:
    """Records the decisions that a store notifies of."""

    def __init__(self):
        self.decisions = []
        self.came = threading.Event()

    def __call__(self, decision):
        self.decisions.append(decision)
        self.came.set()


def test_decided_once(store):
    """The first decision counts, and the one who waits learns of it."""
    waiting, notified = approval(), Notified()
    store.add(waiting, notified)
    assert store.read(waiting.id) == waiting
    assert store.decide(waiting.id, APPROVED) == replace(waiting, decision=APPROVED)
    assert notified.came.wait(60)
    again = store.decide(waiting.id, replace(APPROVED))
    assert again == replace(waiting, decision=APPROVED)
    assert again.decision is not APPROVED or isinstance(store, MemoryApprovalStore)
    assert store.read(waiting.id).decision == APPROVED
    assert notified.decisions == [APPROVED]
    store.forget(waiting.id)


def test_pending(store):
    """Only those that wait are listed, by owner or all of them, the oldest first."""
    first, second, other = approval(), approval(created=2.0), approval("bob", created=3.0)
    for each in (first, second, other):
        store.add(each, Notified())
    assert list(store.pending("alice")) == [first, second]
    assert list(store.pending(None)) == [first, second, other]
    store.decide(first.id, APPROVED)
    assert list(store.pending("alice")) == [second]
    assert list(store.pending("nobody")) == []
    for each in (first, second, other):
        store.forget(each.id)


def test_room(store):
    """No more wait than there is room for, in all and of one key."""
    kept = [approval(), approval(), approval("bob")]
    for each in kept[:2]:
        store.add(each, Notified())
    with pytest.raises(TooManyApprovals, match="MAX_APPROVALS_OF_KEY"):
        store.add(approval(), Notified())
    store.add(kept[2], Notified())
    with pytest.raises(TooManyApprovals, match=r"MAX_APPROVALS\)"):
        store.add(approval("carol"), Notified())
    store.decide(kept[0].id, APPROVED)
    store.add(last := approval("carol"), Notified())
    for each in (*kept, last):
        store.forget(each.id)


def test_kept(store):
    """What no turn waits for is pending until it is decided, and kept until it is removed."""
    first, second, other = approval(), approval(created=2.0), approval("bob", created=3.0)
    for each in (first, second, other):
        store.keep(each, 60)
    assert list(store.kept("alice")) == [first, second]
    store.add(waiting := approval(created=0.0), Notified())
    assert list(store.pending("alice")) == [waiting, first, second]
    assert list(store.pending(None)) == [waiting, first, second, other]
    store.forget(waiting.id)
    decided = replace(first, decision=APPROVED)
    assert store.decide(first.id, APPROVED) == store.read(first.id) == decided
    assert store.decide(first.id, Decision("denied")) == decided
    assert list(store.kept("alice")) == [decided, second]
    assert list(store.pending(None)) == [waiting, second, other]
    store.remove([first, other])
    assert list(store.pending(None)) == [waiting, second]
    assert list(store.kept("alice")) == [second]
    assert list(store.kept("bob")) == []
    assert store.read(first.id) is store.decide(other.id, APPROVED) is None


def test_kept_for_a_time(store):
    """What is kept is gone after its time."""
    store.keep(replace(approval(), expires=1.05), 0.05)
    assert eventually(lambda: not store.kept("alice"))
    assert not store.pending("alice")


def test_most_kept(store, monkeypatch):
    """The oldest ones make room for what is kept: of the same key, or else of all."""
    for name in ("memory_store", "redis_store"):
        monkeypatch.setattr(f"wrapper.services.approvals.{name}.MOST_KEPT_OF_KEY", 2)
        monkeypatch.setattr(f"wrapper.services.approvals.{name}.MOST_KEPT", 3)
    first, *alices = (approval(created=1.0 + number) for number in range(3))
    for each in (first, *alices):
        store.keep(each, 60)
    assert list(store.kept("alice")) == alices
    assert store.read(first.id) is None
    bobs = [approval("bob", created=5.0 + number) for number in range(2)]
    for each in bobs:
        store.keep(each, 60)
    assert list(store.pending(None)) == [alices[1], *bobs]
    assert list(store.kept("alice")) == [alices[1]]


def test_unknown(store):
    """An approval that does not exist is neither read nor decided."""
    for id_ in ("apr_none", "", "../:*", "\ud800"):
        assert store.read(id_) is None
        assert store.decide(id_, APPROVED) is None


def test_decided_ones_are_forgotten():
    """In memory, a decided approval can be read for a while."""
    clock = Clock(1000.0)
    store = MemoryApprovalStore(ROOM, clock=clock)
    store.add(waiting := approval(), Notified())
    store.decide(waiting.id, APPROVED)
    clock.now += KEPT_SECONDS - 1
    assert store.read(waiting.id)
    clock.now += 2
    assert store.read(waiting.id) is None


def test_another_worker_has_it(open_redis):
    """With Redis, all workers have what is kept, and its decision."""
    here, there = open_redis(), open_redis()
    here.keep(waiting := approval(), 60)
    assert there.decide(waiting.id, APPROVED).decision == APPROVED
    assert [each.decision for each in here.kept("alice")] == [APPROVED]


def test_another_worker_decides(open_redis):
    """With Redis, one worker decides what another one waits for."""
    here, there, notified = open_redis(), open_redis(), Notified()
    here.add(waiting := approval(), notified)
    assert list(there.pending("alice")) == [waiting]
    there.decide(waiting.id, APPROVED)
    assert notified.came.wait(60)
    assert notified.decisions == [APPROVED]
    assert eventually(lambda: here._waiter._thread is None)  # nothing waits any more


def test_a_lost_decision(open_redis, redis_server):
    """A decision that is lost on its way to the worker that waits comes with the next renewal."""
    store, notified = open_redis(hold=6.0), Notified()
    store.add(waiting := approval(), notified)
    with contextlib.closing(Redis.from_url(redis_server.url)) as client:
        place = f"{open_redis.prefix}:approval:{waiting.id}"
        client.hset(place, "decision", encode_decision(APPROVED, "token"))
    assert notified.came.wait(60)
    assert notified.decisions == [APPROVED]


def test_one_inbox(open_redis, monkeypatch):
    """All threads of a worker name the same list."""
    waiter, both = open_redis()._waiter, threading.Barrier(2)

    def new_id():
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)
        return uuid.UUID(int=threading.get_ident())

    monkeypatch.setattr(redis_waiter, "uuid", SimpleNamespace(uuid4=new_id))
    with ThreadPoolExecutor(2) as threads:
        names = {*threads.map(lambda _: waiter.inbox, range(2))}
    assert len(names) == 1


def test_redis_loses_it(open_redis, redis_server):
    """An approval that Redis has lost is refused; one that is kept is renewed."""
    store, lost, kept = open_redis(hold=6.0), Notified(), Notified()
    store.add(first := approval(), lost)
    store.add(second := approval(), kept)
    with contextlib.closing(Redis.from_url(redis_server.url)) as client:
        client.delete(f"{open_redis.prefix}:approval:{first.id}")
    assert lost.came.wait(60)
    assert lost.decisions == [LOST]
    assert store.read(second.id) == second
    assert not kept.decisions
    store.forget(second.id)


def test_dead_workers(open_redis):
    """What a worker waited for is gone, and leaves room, some time after the worker has died."""
    dead, alive = open_redis(hold=0.3), open_redis()
    for _ in range(2):
        dead.add(waiting := approval(), Notified())
        dead.forget(waiting.id)  # nobody renews it
    assert eventually(lambda: not alive.pending(None))
    alive.add(waiting := approval(), Notified())
    assert list(alive.pending(None)) == [waiting]
    alive.forget(waiting.id)


def test_no_redis():
    """Without Redis nothing can wait, and what waited is refused."""
    nowhere = RedisApprovalStore("redis://127.0.0.1:1/0", "X", ROOM, hold=0.1)
    with contextlib.closing(nowhere) as store:
        with pytest.raises(Unavailable, match="Redis cannot be reached"):
            store.add(approval(), Notified())
        notified = Notified()
        store._waiter.add(approval(), notified)
        assert notified.came.wait(60)
        assert notified.decisions == [LOST]


def test_no_thread(open_redis, monkeypatch):
    """An approval for which the machine has no thread is refused, and a later one is decided."""
    store, notified = open_redis(), Notified()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(Unavailable, match="no thread is left"):
            store.add(approval(), Notified())
    assert store.pending(None) == store._waiter._approvals() == []
    store.add(waiting := approval(), notified)
    open_redis().decide(waiting.id, APPROVED)
    assert notified.came.wait(60)


def test_what_others_wrote(open_redis, redis_server, caplog):
    """A value in Redis that is no approval counts as none, and the log says so."""
    store = open_redis()
    with contextlib.closing(Redis.from_url(redis_server.url)) as client:
        for number, value in enumerate(("{", "[]", "{}", '{"asker": {"x": 1}}')):
            client.hset(f"{open_redis.prefix}:approval:a{number}", "approval", value)
            assert store.read(f"a{number}") is None
    assert caplog.text.count("cannot be read") == 4
