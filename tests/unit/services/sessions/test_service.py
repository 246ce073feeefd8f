"""The session service: one turn at a time, separate owners, no processes of deleted sessions."""

from collections.abc import Callable
from typing import Any

import pytest

from wrapper.errors import ClientGone, Conflict, RequestTooLarge, SessionNotFound, Unavailable
from wrapper.routes.headers import error_headers
from wrapper.services.background.watchdog import CHECK_SECONDS, Watchdog
from wrapper.services.events import Ended, Ending, Started, TextDelta
from wrapper.services.messages.answer import Answer
from wrapper.services.messages.message import ChatMessage
from wrapper.services.principal import Principal
from wrapper.services.sessions.memory_store import MemorySessionStore
from wrapper.services.sessions.service import SessionRequest, SessionService, open_sessions
from wrapper.services.spent import Usage
from wrapper.services.turn import SessionKey
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

WAIT = 30.0
ALICE, BOB = Principal("alice"), Principal("bob")
USAGE = Usage(3, 4, 5, 2, 1)


class Engine(ScriptedEngine):
    """An engine that keeps processes for the sessions that a test puts into `kept`."""

    def __init__(self):
        super().__init__()
        self.kept: list[SessionKey] = []
        self.forgotten: list[SessionKey] = []

    def parked(self):
        return list(self.kept)

    def forget(self, session):
        self.forgotten.append(session)
        self.kept = [key for key in self.kept if key != session]


class Patient(MemorySessionStore):
    """A store that calls a function while a turn waits, so that time passes."""

    def __init__(self, desk):
        super().__init__(ttl=3600, count=100, size=10**7, clock=lambda: desk.now)
        self._desk = desk
        self.waits: list[float] = []
        self.on_wait: Callable[[], Any] = lambda: None

    def claim(self, owner, id_, seconds):
        claim = super().claim(owner, id_, 0)
        if claim is None:
            self.waits.append(seconds)
            self._desk.now += seconds
            self.on_wait()
        return claim


class Desk:
    """A service with its store and engine, and a clock that moves while a turn waits."""

    def __init__(self, wait=WAIT, most=10**6):
        self.now = 1000.0
        self.gone = self.draining = False
        self.engine = Engine()
        self.store = Patient(self)
        self.service = SessionService(
            self.store,
            self.engine,
            wait=wait,
            max_bytes=most,
            clock=lambda: self.now,
            timer=lambda: self.now,
        )

    def begin_turn(self, id_="s", owner=ALICE, text="Hi", **fields):
        watchdog = Watchdog(
            gone=lambda: self.gone,
            draining=lambda: self.draining,
            limit=10_000,
            grace=0,
            clock=lambda: self.now,
        )
        asked = SessionRequest(id_, (ChatMessage("user", (text,)),), **fields)
        return self.service.begin_turn(asked, owner, watchdog)

    def turn(self, id_="s", owner=ALICE, cost=0.25, resumed=False, **fields):
        """Run a turn that is stored; return the session's key."""
        session_turn = self.begin_turn(id_, owner, **fields)
        answer = Answer()
        for event in (Started("m", resumed), TextDelta("Yes."), Ended(Ending.DONE, USAGE, cost)):
            answer.add(event)
        session_turn.remember(answer)
        session_turn.close()
        return session_turn.key

    def ids(self, owner=ALICE):
        return [head.key.id for head in self.service.heads(owner)]

    def is_free(self):
        """Say whether a turn of the session can begin."""
        claim = self.store.claim("alice", "s", 0)
        if claim:
            claim.release()
        return claim is not None


@pytest.fixture
def make():
    """Make a desk; its service is closed after the test."""
    desks = []

    def make(**fields):
        desks.append(Desk(**fields))
        return desks[-1]

    yield make
    for desk in desks:
        desk.service.close()


@pytest.fixture
def desk(make):
    return make()


# One turn at a time


def test_turns_one_after_the_other(desk):
    """A turn gets the messages of the turns before it."""
    desk.turn(text="a")
    session_turn = desk.begin_turn(text="b")
    assert [message.parts for message in session_turn.before] == [("a",), ("Yes.",)]
    session_turn.close()


def test_sessions_do_not_wait_for_each_other(desk):
    """Turns of several sessions, or of several owners, run side by side."""
    visits = [desk.begin_turn("s"), desk.begin_turn("t"), desk.begin_turn("s", BOB)]
    assert len({session_turn.key for session_turn in visits}) == 3
    assert desk.store.waits == []


def test_busy(desk):
    """A turn that has waited for SESSION_WAIT is a 409 that clients do not retry at once."""
    desk.begin_turn()
    with pytest.raises(Conflict, match="SESSION_WAIT") as caught:
        desk.begin_turn()
    assert error_headers(caught.value) == {"x-should-retry": "false"}
    assert (caught.value.code, caught.value.param) == ("session_busy", "session_id")
    assert sum(desk.store.waits) == WAIT
    assert set(desk.store.waits) == {CHECK_SECONDS}


def test_waiting(desk):
    """A waiting turn begins once the one before it is done, with that one's messages."""
    first = desk.begin_turn(text="a")
    desk.store.on_wait = first.close
    desk.begin_turn(text="b").close()
    assert len(desk.store.waits) == 1


@pytest.mark.parametrize("wait", [0.0, 0.1])
def test_short_waits(make, wait):
    """A turn waits no longer than SESSION_WAIT, however short that is."""
    desk = make(wait=wait)
    desk.begin_turn()
    with pytest.raises(Conflict):
        desk.begin_turn()
    assert sum(desk.store.waits) == wait


def test_who_waits_and_leaves(desk):
    """A client that leaves stops waiting."""
    desk.begin_turn()
    desk.store.on_wait = lambda: setattr(desk, "gone", len(desk.store.waits) == 3)
    with pytest.raises(ClientGone):
        desk.begin_turn()
    assert len(desk.store.waits) == 3


def test_who_waits_while_the_gateway_shuts_down(desk):
    """A closing gateway ends the wait."""
    desk.begin_turn()
    desk.store.on_wait = lambda: setattr(desk, "draining", True)
    with pytest.raises(Unavailable):
        desk.begin_turn()


def test_after_a_conflict(desk):
    """A refused turn leaves no claim: the session is free once its running turn is done."""
    first = desk.begin_turn()
    with pytest.raises(Conflict):
        desk.begin_turn()
    first.close()
    assert desk.is_free()


def test_too_large(make):
    """A turn that makes the session too large is refused and releases it."""
    desk = make(most=60)
    with pytest.raises(RequestTooLarge):
        desk.begin_turn(text="x" * 60)
    assert desk.is_free()
    assert desk.ids() == []


def test_a_turn_that_leaves_nothing(desk):
    """A turn of a new session that is not stored leaves no session."""
    desk.begin_turn().close()
    assert desk.ids() == []


# Owners


def test_owners_apart(desk):
    """The same id is another session for another owner, who sees only their own."""
    keys = {desk.turn("s", ALICE, text="a"), desk.turn("s", BOB, text="b")}
    assert len(keys) == 2
    for owner, text in ((ALICE, "a"), (BOB, "b")):
        assert desk.service.read(owner, "s").messages[0].parts == (text,)
        assert desk.service.stats(owner).sessions == len(desk.ids(owner)) == 1


def test_what_another_owner_has(desk):
    """Another owner cannot read, list, count or delete a session."""
    key = desk.turn("s", ALICE)
    desk.engine.kept = [key]
    for call in (desk.service.read, desk.service.delete):
        with pytest.raises(SessionNotFound, match="'s'"):
            call(BOB, "s")
    assert desk.ids(BOB) == []
    stats = desk.service.stats(BOB)
    assert (stats.sessions, stats.turns, stats.parked, stats.oldest) == (0, 0, 0, None)
    assert desk.ids(ALICE) == ["s"]
    assert desk.engine.forgotten == []


# Listing, deleting and totals


def test_order(desk):
    """Sessions are listed in the order in which they began."""
    for id_ in ("c", "a", "b"):
        desk.turn(id_)
        desk.now += 1
    desk.turn("c")
    assert desk.ids() == ["c", "a", "b"]


def test_deleting(desk):
    """Deleting a session drops its process; a new session may have the same id."""
    key = desk.turn()
    desk.service.delete(ALICE, "s")
    assert desk.engine.forgotten == [key]
    for call in (desk.service.read, desk.service.delete):
        with pytest.raises(SessionNotFound):
            call(ALICE, "s")
    assert desk.turn() != key


def test_deleting_during_a_turn(desk):
    """A session that is deleted while its turn runs stays deleted, and the turn is a 409."""
    desk.turn()
    session_turn = desk.begin_turn()
    desk.service.delete(ALICE, "s")
    answer = Answer()
    for event in (Started("m"), Ended(Ending.DONE, USAGE, None)):
        answer.add(event)
    with pytest.raises(Conflict) as caught:
        session_turn.remember(answer)
    assert (caught.value.code, caught.value.retry) == ("session_deleted", False)
    session_turn.close()
    assert desk.ids() == []


def test_no_sessions_to_tell_of(desk):
    """Without sessions all totals are zero or null."""
    stats = desk.service.stats(ALICE)
    assert (stats.sessions, stats.turns, stats.usage, stats.cost_usd) == (0, 0, Usage(), 0)
    assert (stats.oldest, stats.newest, stats.parked, stats.resumed) == (None, None, 0, 0)


def test_stats(desk):
    """Totals cover turns, usage, costs and parked processes of all the owner's sessions."""
    first = desk.turn("s", cost=0.5)
    desk.now = 1500.0
    desk.turn("t", cost=None, resumed=True)
    desk.turn("t", resumed=True)
    desk.engine.kept = [first, desk.turn("u", BOB)]
    stats = desk.service.stats(ALICE)
    assert (stats.sessions, stats.turns, stats.resumed, stats.parked) == (2, 3, 2, 1)
    assert (stats.usage, stats.cost_usd) == (Usage(9, 12, 15, 6, 3), 0.75)
    assert (stats.oldest, stats.newest) == (1000.0, 1500.0)


# Processes kept for sessions


def test_sweeping(desk):
    """A sweep drops the process of a session that is gone."""
    stays, goes = desk.turn("s"), SessionKey("alice", "t", "gone")
    desk.engine.kept = [stays, goes]
    desk.service.sweep()
    assert desk.engine.forgotten == [goes]
    assert desk.engine.kept == [stays]


def test_a_session_about_to_be_remembered(desk):
    """A sweep keeps the process of a new session whose turn is not stored yet."""
    session_turn = desk.begin_turn()
    desk.engine.kept = [session_turn.key]
    for _ in range(3):  # however slowly its client reads
        desk.service.sweep()
    answer = Answer()
    for event in (Started("m"), Ended(Ending.DONE, USAGE, None)):
        answer.add(event)
    session_turn.remember(answer)
    session_turn.close()
    desk.service.sweep()
    assert desk.engine.forgotten == []


def test_a_session_that_was_not_remembered(desk):
    """When the first turn of a session fails, its process and directory go at once."""
    session_turn = desk.begin_turn()
    session_turn.close()
    assert desk.engine.forgotten == [session_turn.key]


def test_a_later_turn_that_was_not_remembered(desk):
    """When a later turn of a session fails, its process stays."""
    desk.turn()
    desk.begin_turn().close()
    assert desk.engine.forgotten == []


def test_a_later_session_of_the_same_id(desk):
    """A sweep drops a deleted session's process even if a new session has its id."""
    old = desk.turn()
    desk.store.delete("alice", "s")  # as another worker does
    new = desk.turn()
    desk.engine.kept = [old, new]
    desk.service.sweep()
    assert desk.engine.forgotten == [old]


# Opening the service


def test_none():
    """With SESSION_STORE=none there is no service."""
    assert open_sessions(Settings(session_store="none"), ScriptedEngine()) is None


def test_a_store_of_ones_own(desk):
    """A store that an app passes in is used, whatever the settings say."""
    service = open_sessions(Settings(session_store="none"), ScriptedEngine(), desk.store)
    assert service
    desk.turn()
    assert [head.key.id for head in service.heads(ALICE)] == ["s"]
    assert service.health() == {"status": "ok"}


def test_the_settings_limits():
    """The memory store has the settings' limits."""
    settings = Settings(session_max_bytes=40, max_sessions=1, session_wait=0)
    service = open_sessions(settings, ScriptedEngine())
    assert service
    watchdog = Watchdog(
        gone=lambda: False, draining=lambda: False, limit=9, grace=9, clock=lambda: 0.0
    )
    with pytest.raises(RequestTooLarge):
        service.begin_turn(
            SessionRequest("s", (ChatMessage("user", ("x" * 40,)),)), ALICE, watchdog
        )
    service.begin_turn(SessionRequest("s", ()), ALICE, watchdog)
    with pytest.raises(Conflict):
        service.begin_turn(SessionRequest("s", ()), ALICE, watchdog)
    service.close()
