"""The session stores in any order of events, compared with a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support.session_stores import HOLD, START, MemoryKind, RedisKind
from wrapper.errors import Conflict, RequestTooLarge
from wrapper.services.messages.message import ChatMessage
from wrapper.services.sessions.memory_store import OVERHEAD
from wrapper.services.sessions.session import Session, new_session
from wrapper.services.sessions.store import Claim, SessionStore

TTL = 100.0
# No sums of these come close to a time to live, because real time passes in Redis.
STEPS = (30.0, 71.0)
KEYS = [("alice", "a"), ("alice", "a:a"), ("alice:a", "a")]
COUNT = 2
SIZE = 2 * OVERHEAD + 3000
SIZES = (0, 1000, 2000, 2 * SIZE)

keys = st.sampled_from(KEYS)
workers = st.integers(0, 1)
sizes = st.sampled_from(SIZES)


@dataclass
class Held:
    """A claim of the model; `session` is what the store must hold after its turn."""

    key: tuple[str, str]
    claim: Claim
    session: Session | None
    dead: bool = False


class Machine(RuleBasedStateMachine):
    """Two workers of a store, and a model of its sessions and claims."""

    claims = Bundle("claims")
    kind: Any
    bounded = False

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.kept: dict[tuple[str, str], tuple[Session, float]] = {}  # least recently used first
        self.held: dict[tuple[str, str], Held] = {}
        self.dead: dict[tuple[str, str], float] = {}  # when the claims of dead workers expire
        self.stores: list[SessionStore] = self.open()

    def open(self) -> list[SessionStore]:
        raise NotImplementedError

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.kind.close()

    @rule(target=claims, key=keys, worker=workers)
    def claim(self, key, worker):
        claim = self.stores[worker].claim(*key, 0)
        if key in self.held or self.dead.get(key, 0) > self.now:
            assert claim is None
            return multiple()
        assert claim
        held = self.held[key] = Held(key, claim, self.remembered(key))
        self.kept.pop(key, None)
        assert claim.session == held.session
        return held

    @rule(held=claims, text=st.text(max_size=3), size=sizes)
    def save(self, held, text, size):
        if held.dead:
            return
        owner, id_ = held.key
        session = held.session or new_session(owner, id_, self.now)
        messages = (*session.messages, ChatMessage("user", (text,)))
        head = replace(session.head, messages=len(messages), size=size)
        session = Session(head, messages)
        if not self.holds(held):
            with pytest.raises(Conflict):
                held.claim.save(session)
        elif self.bounded and size + OVERHEAD > SIZE:
            with pytest.raises(RequestTooLarge):
                held.claim.save(session)
        else:
            held.claim.save(session)
            held.session = session

    @rule(held=consumes(claims), text=st.text(max_size=3), size=sizes)
    def finish(self, held, text, size):
        self.save(held, text, size)
        self.release(held)

    @rule(held=claims)
    def release(self, held):
        """Release also claims that were released or deleted before, and those of failed turns."""
        if held.dead:
            return
        held.claim.release()
        if self.holds(held):
            del self.held[held.key]
            if held.session:
                head = replace(held.session.head, used=self.now)
                self.keep(held.key, replace(held.session, head=head), self.now + TTL)

    @rule(key=keys, worker=workers)
    def delete(self, key, worker):
        session = self.remembered(key)
        assert self.stores[worker].delete(*key) == (session and session.head)
        if session:
            for known in (self.kept, self.held, self.dead):
                known.pop(key, None)

    @rule(seconds=st.sampled_from(STEPS))
    def wait(self, seconds):
        self.kind.advance(seconds)
        self.now = self.kind.now

    @invariant()
    def agree(self):
        for owner in {owner for owner, _ in KEYS}:
            mine = [self.remembered(key) for key in KEYS if key[0] == owner]
            heads = [session.head for session in mine if session]
            heads.sort(key=lambda head: (head.created, head.key.id))
            for store in self.stores:
                assert list(store.heads(owner)) == heads
        for key in KEYS:
            assert self.stores[0].read(*key) == self.remembered(key)

    def holds(self, held: Held) -> bool:
        return self.held.get(held.key) is held

    def remembered(self, key: tuple[str, str]) -> Session | None:
        if held := self.held.get(key):
            return held.session
        session, end = self.kept.get(key, (None, 0.0))
        return session if end > self.now else None

    def keep(self, key: tuple[str, str], session: Session, end: float) -> None:
        self.kept = {key: kept for key, kept in self.kept.items() if kept[1] > self.now}
        while self.bounded and self.is_full_for(session):
            del self.kept[next(iter(self.kept))]
        self.kept[key] = (session, end)

    def is_full_for(self, new: Session) -> bool:
        sessions = [new, *(session for session, _ in self.kept.values())]
        size = sum(session.head.size + OVERHEAD for session in sessions)
        return len(sessions) > COUNT or size > SIZE


class MemoryMachine(Machine):
    bounded = True

    def open(self):
        self.kind = MemoryKind(COUNT, SIZE)
        return [self.kind.open(TTL)] * 2


class RedisMachine(Machine):
    url = ""

    def open(self):
        self.kind = RedisKind(self.url)
        return [self.kind.open(TTL), self.kind.open(TTL)]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def die(self, data):
        """A worker dies in a turn: its stored sessions stay until they expire."""
        key = data.draw(st.sampled_from(sorted(self.held)))
        held = self.held.pop(key)
        held.dead = True
        self.kind.bury(held.claim)
        self.dead[key] = self.now + HOLD
        if held.session:
            self.keep(key, held.session, self.now + HOLD + TTL)


def test_memory():
    """The memory store holds what the model holds, in any order of events."""
    settings = hypothesis_settings(max_examples=60, stateful_step_count=40)
    run_state_machine_as_test(MemoryMachine, settings=settings)


def test_redis(redis_server):
    """The Redis store holds what the model holds for two workers, which may die in a turn."""
    settings = hypothesis_settings(max_examples=25, stateful_step_count=30)
    RedisMachine.url = redis_server.url
    run_state_machine_as_test(RedisMachine, settings=settings)
