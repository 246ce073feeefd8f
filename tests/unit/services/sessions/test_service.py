"""The session service: one turn at a time, each owner apart, and nothing kept for what is gone."""

from collections.abc import Callable
from typing import Any

import pytest

from wrapper.errors import ClientGone, Conflict, RequestTooLarge, SessionNotFound, Unavailable
from wrapper.routes.headers import error_headers
from wrapper.services.background.watchdog import CHECK_SECONDS, Watchdog
from wrapper.services.events import Ended, Ending, Started, TextDelta, Usage
from wrapper.services.messages.answer import Answer
from wrapper.services.messages.message import ChatMessage
from wrapper.services.principal import Principal
from wrapper.services.sessions.memory_store import MemorySessionStore
from wrapper.services.sessions.service import SessionRequest, SessionService, open_sessions
from wrapper.services.turn import SessionKey
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

WAIT = 30.0
ALICE, BOB = Principal("alice"), Principal("bob")
USAGE = Usage(3, 4, 5, 2, 1)


class Engine(ScriptedEngine):
    """An engine that keeps things for the sessions that a test puts into `kept`."""

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
    """A store in which who waits is told of it by a call, and the time passes."""

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
    """A service and all around it, with one clock that moves while somebody waits."""

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
        """Have a turn remembered; return the session's key."""
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
        """Say whether the session can have a turn."""
        claim = self.store.claim("alice", "s", 0)
        if claim:
            claim.release()
        return claim is not None


@pytest.fixture
def make():
    """Make a desk; its service is closed after the test."""
    desks = []

    def one(**fields):
        desks.append(Desk(**fields))
        return desks[-1]

    yield one
    for desk in desks:
        desk.service.close()


@pytest.fixture
def desk(make):
    return make()


# One turn at a time


def test_turns_one_after_the_other(desk):
    """A turn finds what the turns before it have left."""
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
    """A turn that has waited for too long is a conflict, which is not to be tried again at once."""
    desk.begin_turn()
    with pytest.raises(Conflict, match="SESSION_WAIT") as caught:
        desk.begin_turn()
    assert error_headers(caught.value) == {"x-should-retry": "false"}
    assert (caught.value.code, caught.value.param) == ("session_busy", "session_id")
    assert sum(desk.store.waits) == WAIT
    assert set(desk.store.waits) == {CHECK_SECONDS}


def test_waiting(desk):
    """A turn that waits gets the session once the one before is done, with what that has left."""
    first = desk.begin_turn(text="a")
    desk.store.on_wait = first.close
    desk.begin_turn(text="b").close()
    assert len(desk.store.waits) == 1


@pytest.mark.parametrize("wait", [0.0, 0.1])
def test_short_waits(make, wait):
    """Nobody waits for longer than is set, however short that is."""
    desk = make(wait=wait)
    desk.begin_turn()
    with pytest.raises(Conflict):
        desk.begin_turn()
    assert sum(desk.store.waits) == wait


def test_who_waits_and_leaves(desk):
    """A client that leaves waits no more."""
    desk.begin_turn()
    desk.store.on_wait = lambda: setattr(desk, "gone", len(desk.store.waits) == 3)
    with pytest.raises(ClientGone):
        desk.begin_turn()
    assert len(desk.store.waits) == 3


def test_who_waits_while_the_gateway_shuts_down(desk):
    """Nobody waits for a turn that a closing gateway will not run."""
    desk.begin_turn()
    desk.store.on_wait = lambda: setattr(desk, "draining", True)
    with pytest.raises(Unavailable):
        desk.begin_turn()


def test_after_a_conflict(desk):
    """Who was refused has left nothing behind: the session is free once its turn is done."""
    first = desk.begin_turn()
    with pytest.raises(Conflict):
        desk.begin_turn()
    first.close()
    assert desk.is_free()


def test_too_large(make):
    """A session that would be too large is refused, and is free again."""
    desk = make(most=60)
    with pytest.raises(RequestTooLarge):
        desk.begin_turn(text="x" * 60)
    assert desk.is_free()
    assert desk.ids() == []


def test_a_turn_that_leaves_nothing(desk):
    """A turn of a new session that is not remembered leaves no session."""
    desk.begin_turn().close()
    assert desk.ids() == []


# Owners


def test_owners_apart(desk):
    """The same id is another session for another owner, who sees none but their own."""
    keys = {desk.turn("s", ALICE, text="a"), desk.turn("s", BOB, text="b")}
    assert len(keys) == 2
    for owner, text in ((ALICE, "a"), (BOB, "b")):
        assert desk.service.read(owner, "s").messages[0].parts == (text,)
        assert desk.service.stats(owner).sessions == len(desk.ids(owner)) == 1


def test_what_another_owner_has(desk):
    """To another owner a session does not exist: it is not read, listed, counted or deleted."""
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


# What is asked of them


def test_order(desk):
    """Sessions are listed in the order in which they were begun."""
    for id_ in ("c", "a", "b"):
        desk.turn(id_)
        desk.now += 1
    desk.turn("c")
    assert desk.ids() == ["c", "a", "b"]


def test_deleting(desk):
    """A deleted session is gone, and so is what the engine keeps for it; another may follow."""
    key = desk.turn()
    desk.service.delete(ALICE, "s")
    assert desk.engine.forgotten == [key]
    for call in (desk.service.read, desk.service.delete):
        with pytest.raises(SessionNotFound):
            call(ALICE, "s")
    assert desk.turn() != key


def test_deleting_during_a_turn(desk):
    """A session that is deleted while its turn runs stays so, and the turn is told."""
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
    """Where there are no sessions, they come to nothing."""
    stats = desk.service.stats(ALICE)
    assert (stats.sessions, stats.turns, stats.usage, stats.cost_usd) == (0, 0, Usage(), 0)
    assert (stats.oldest, stats.newest, stats.parked, stats.resumed) == (None, None, 0, 0)


def test_stats(desk):
    """Turns, use, costs and parked processes are those of all the owner's sessions."""
    first = desk.turn("s", cost=0.5)
    desk.now = 1500.0
    desk.turn("t", cost=None, resumed=True)
    desk.turn("t", resumed=True)
    desk.engine.kept = [first, desk.turn("u", BOB)]
    stats = desk.service.stats(ALICE)
    assert (stats.sessions, stats.turns, stats.resumed, stats.parked) == (2, 3, 2, 1)
    assert (stats.usage, stats.cost_usd) == (Usage(9, 12, 15, 6, 3), 0.75)
    assert (stats.oldest, stats.newest) == (1000.0, 1500.0)


# What is kept for them


def test_sweeping(desk):
    """What is kept for a session that is gone goes."""
    stays, goes = desk.turn("s"), SessionKey("alice", "t", "gone")
    desk.engine.kept = [stays, goes]
    desk.service.sweep()
    assert desk.engine.forgotten == [goes]
    assert desk.engine.kept == [stays]


def test_a_session_about_to_be_remembered(desk):
    """What is kept for a session that is remembered a moment later stays."""
    session_turn = desk.begin_turn()
    desk.engine.kept = [session_turn.key]
    for _ in range(3):  # however long its client takes to read
        desk.service.sweep()
    answer = Answer()
    for event in (Started("m"), Ended(Ending.DONE, USAGE, None)):
        answer.add(event)
    session_turn.remember(answer)
    session_turn.close()
    desk.service.sweep()
    assert desk.engine.forgotten == []


def test_a_session_that_was_not_remembered(desk):
    """What is kept for a new session whose first turn failed goes at once, a directory too."""
    session_turn = desk.begin_turn()
    session_turn.close()
    assert desk.engine.forgotten == [session_turn.key]


def test_a_later_turn_that_was_not_remembered(desk):
    """What is kept for a session stays where a later turn fails."""
    desk.turn()
    desk.begin_turn().close()
    assert desk.engine.forgotten == []


def test_a_later_session_of_the_same_id(desk):
    """What is kept for a session goes, also where another one has its id by now."""
    old = desk.turn()
    desk.store.delete("alice", "s")  # as another worker does
    new = desk.turn()
    desk.engine.kept = [old, new]
    desk.service.sweep()
    assert desk.engine.forgotten == [old]


# Where it comes from


def test_none():
    """Where no sessions are to be kept there is no service."""
    assert open_sessions(Settings(session_store="none"), ScriptedEngine()) is None


def test_a_store_of_ones_own(desk):
    """A store that is given is used, whatever the settings say."""
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
