"""The parking: processes that wait for a further turn, and only for one that fits."""

from concurrent.futures import Future
from dataclasses import replace
from typing import Any, cast

import pytest

from wrapper.services.claude.processes.parking import (
    ParkedProcess,
    Parking,
    ParkingLimits,
    fingerprint,
)
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.principal import Principal
from wrapper.services.turn import (
    Function,
    Message,
    OutputSchema,
    Permissions,
    Sampling,
    SessionKey,
    ToolChoice,
    Turn,
)

IDLE = 900.0
MAX_RSS = 600
MANY = 100
USER, SAID, NEXT = Message("user", ("a",)), Message("assistant", ("b",)), Message("user", ("c",))
KNOWN = (USER, SAID)
FUNCTION = Function("f", {"type": "object"})
SHAPE = OutputSchema("number", {"type": "object"})


class Fake:
    """A process that a test lets die or speak."""

    def __init__(self, pid=1):
        self.pid = pid
        self.dead = self.spoke = False

    def alive_and_silent(self):
        return not (self.dead or self.spoke)

    def exit_code(self):
        return 1 if self.dead else None


def key_of(uid="a1"):
    return SessionKey("local", "s", uid)


def turn_of(uid="a1", messages=(*KNOWN, NEXT), **fields):
    return Turn("sonnet", messages, session=key_of(uid), **fields)


class Lot:
    """A parking and all around it. `rss` is what each process has, by its pid."""

    def __init__(self, size=MANY, recycle=False):
        self.now = 0.0
        self.rss: dict[int, int] = {}
        self.is_scarce = False
        self.stopped: list[Any] = []
        self.parking = Parking(
            ParkingLimits(size, IDLE, MAX_RSS),
            discard=self.stopped.append,
            recycle=recycle,
            clock=lambda: self.now,
            resident=lambda pid: self.rss.get(pid, 0),
            scarce=lambda: self.is_scarce,
        )

    def park(
        self, uid="a1", turn=None, workspace=None, known=KNOWN, clearing=None, limit=MANY, rss=0
    ):
        """Park a new process after *turn*; return it."""
        process = Fake(pid=len(self.rss))
        self.rss[process.pid] = rss
        kept = fingerprint(turn or turn_of(uid), workspace)
        session = key_of(uid) if uid else None
        state = ProcessState(known)
        parked = ParkedProcess(session, cast(Process, process), kept, state, clearing, self.now)
        self.parking.park(parked, limit)
        return process

    def take(self, turn=None, workspace=None):
        """Return the process that the turn gets, if there is one."""
        parked = self.parking.take(turn or turn_of(), workspace)
        return parked and parked.process

    def uids(self):
        return [key.uid for key in self.parking.sessions()]


# What fits


def test_taken():
    """A session's next turn gets the process of the one before, which is parked no more."""
    lot = Lot()
    process = lot.park()
    assert lot.uids() == ["a1"]
    assert lot.take() is process
    assert lot.uids() == []
    assert lot.take() is None
    assert lot.stopped == []


def test_each_session_has_its_own():
    """No session gets the process of another, be it of the same owner and id."""
    lot = Lot()
    first, second = lot.park("a1"), lot.park("b2")
    assert lot.take(turn_of("c3")) is None
    assert lot.take(turn_of("b2")) is second
    assert lot.take(turn_of("a1")) is first


BARE = turn_of()
LIMITED = Permissions(max_turns=3)
PARTS = {
    "key": (BARE, turn_of(principal=Principal("bob"))),
    "profile": (BARE, turn_of(profile="plain")),
    "system prompt": (BARE, turn_of(system="Be brief.")),
    "other system prompt": (turn_of(system="Be brief."), turn_of(system="Be long.")),
    "empty system prompt": (BARE, turn_of(system="")),
    "append": (turn_of(system="Be brief."), turn_of(system="Be brief.", appends=True)),
    "functions": (BARE, turn_of(functions=(FUNCTION,))),
    "function": (turn_of(functions=(FUNCTION,)), turn_of(functions=(Function("g", {}),))),
    "parameters": (
        turn_of(functions=(FUNCTION,)),
        turn_of(functions=(Function("f", {"type": "object", "required": []}),)),
    ),
    "description": (
        turn_of(functions=(FUNCTION,)),
        turn_of(functions=(replace(FUNCTION, description="x"),)),
    ),
    "schema": (BARE, turn_of(output_schema=SHAPE)),
    "other schema": (
        turn_of(output_schema=SHAPE),
        turn_of(output_schema=OutputSchema("number", {"type": "array"})),
    ),
    "agent's model": (BARE, replace(BARE, model="opus")),
    "max_turns": (BARE, turn_of(permissions=LIMITED)),
}


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("part", PARTS)
def test_fingerprint(part, flip):
    """A turn that differs in a part of the fingerprint gets no process, which is stopped."""
    before, after = reversed(PARTS[part]) if flip else PARTS[part]
    lot = Lot()
    process = lot.park(turn=before)
    assert lot.take(after) is None
    assert lot.stopped == [process]
    assert lot.uids() == []


@pytest.mark.parametrize(("before", "after"), [(None, "/a"), ("/a", None), ("/a", "/b")])
def test_directory(before, after):
    """A turn that is to work in another directory gets no process."""
    lot = Lot()
    process = lot.park(workspace=before)
    assert lot.take(workspace=after) is None
    assert lot.stopped == [process]


@pytest.mark.parametrize(
    "fields",
    [
        {"sampling": Sampling(9, 0.5, 0.5, ("x",), "high")},
        {"permissions": Permissions(("Read",), ("Write",), "plan")},
        {"tool_choice": ToolChoice("none")},
        {"compacts": True},
    ],
)
def test_what_may_change(fields):
    """Sampling, permissions and the like may change."""
    lot = Lot()
    process = lot.park()
    assert lot.take(turn_of(**fields)) is process


def test_plain_model_may_change():
    """In plain, where Claude Code tells the model nothing, another one may go on."""
    lot = Lot()
    plain = turn_of(profile="plain")
    process = lot.park(turn=plain)
    assert lot.take(replace(plain, model="opus")) is process


@pytest.mark.parametrize(("before", "after"), [(3, 5), (5, 3)])
def test_how_many_rounds_may_change(before, after):
    """How many rounds a turn may have may change, as long as there is a limit."""
    lot = Lot()
    process = lot.park(turn=turn_of(permissions=Permissions(max_turns=before)))
    assert lot.take(turn_of(permissions=Permissions(max_turns=after))) is process


@pytest.mark.parametrize(
    "messages",
    [
        (USER,),
        KNOWN,
        (NEXT,),
        (USER, NEXT),
        (USER, Message("assistant", ("B",)), NEXT),
        (Message("user", ("A",)), SAID, NEXT),
        (SAID, USER, NEXT),
        (Message("user", ("a", "more")), SAID, NEXT),
    ],
)
def test_what_is_known_must_come_first(messages):
    """A process that knows what is not stored, or not in that order, goes on with nothing."""
    lot = Lot()
    process = lot.park()
    assert lot.take(turn_of(messages=messages)) is None
    assert lot.stopped == [process]


@pytest.mark.parametrize("messages", [(*KNOWN, NEXT), (*KNOWN, NEXT, SAID, NEXT)])
def test_more_may_be_said(messages):
    """A process goes on where what it knows is followed by anything at all."""
    lot = Lot()
    process = lot.park()
    assert lot.take(turn_of(messages=messages)) is process


@pytest.mark.parametrize("state", ["dead", "spoke"])
def test_what_has_died_or_spoken(state):
    """A process that died, or spoke although nobody asked it, is stopped."""
    lot = Lot()
    process = lot.park()
    setattr(process, state, True)
    assert lot.take() is None
    assert lot.stopped == [process]


# Without a session

OTHER = (Message("user", ("x",)), Message("assistant", ("y",)))


def turn_without(messages=(*KNOWN, NEXT), **fields):
    return replace(turn_of(messages=messages, **fields), session=None)


def test_what_a_client_sends_again():
    """A turn that brings all that was said goes on where it was said, and only one does."""
    lot = Lot()
    process = lot.park(None)
    assert lot.uids() == []
    assert lot.parking.count() == 1
    assert lot.take(turn_without()) is process
    assert lot.take(turn_without()) is None
    assert lot.stopped == []


def test_sessions_and_others_are_kept_apart():
    """No session's turn gets a process that is nobody's, and no other turn one of a session."""
    lot = Lot()
    nobodys, sessions = lot.park(None), lot.park("a1")
    assert lot.take(turn_of("b2")) is None
    assert lot.take(turn_without()) is nobodys
    assert lot.take(turn_without()) is None
    assert lot.take(turn_of("a1")) is sessions


@pytest.mark.parametrize("messages", [KNOWN, (NEXT,), (*OTHER, NEXT), (*KNOWN[::-1], NEXT)])
def test_what_was_not_said_is_a_miss(messages):
    """A process that knows anything else stays for a turn that fits."""
    lot = Lot()
    process = lot.park(None)
    assert lot.take(turn_without(messages)) is None
    assert lot.stopped == []
    assert lot.take(turn_without()) is process


@pytest.mark.parametrize("part", PARTS)
def test_fingerprint_without_a_session(part):
    """A turn that differs in a part of the fingerprint gets no process, recycled or not."""
    for recycle in (False, True):
        before, after = (replace(turn, session=None) for turn in PARTS[part])
        lot = Lot(recycle=recycle)
        lot.park(None, turn=before)
        assert lot.take(after) is None


def test_the_one_that_knows_most():
    """Of several that fit the one is taken that knows most, and last one that would be emptied."""
    lot = Lot(recycle=True)
    other = lot.park(None, known=OTHER)
    none = lot.park(None, known=())
    less = lot.park(None, known=(USER,))
    most = lot.park(None)
    taken = [lot.take(turn_without()) for _ in range(5)]
    assert taken == [most, less, none, other, None]


def test_one_that_is_still_being_clearing():
    """One that was emptied already is taken before one that is being emptied."""
    lot = Lot(recycle=True)
    emptying = lot.park(None, known=(), clearing=clearing())
    done = lot.park(None, known=(), clearing=clearing(ProcessState()))
    assert [lot.take(turn_without()) for _ in range(2)] == [done, emptying]


@pytest.mark.parametrize("recycle", [False, True])
def test_recycling(recycle):
    """A process that knows another conversation is taken where that is allowed."""
    lot = Lot(recycle=recycle)
    process = lot.park(None, known=OTHER)
    parked = lot.parking.take(turn_without(), None)
    assert bool(parked) is recycle
    if parked:
        assert parked.process is process
        assert not parked.continues(turn_without())


@pytest.mark.parametrize("state", ["dead", "spoke"])
def test_those_that_died_or_spoke_are_passed_over(state):
    """A process that died, or spoke although nobody asked it, is not taken."""
    lot = Lot(recycle=True)
    broken, well = lot.park(None), lot.park(None, known=(USER,))
    setattr(broken, state, True)
    assert lot.take(turn_without()) is well
    assert lot.take(turn_without()) is None


def test_sessions_stay_longer():
    """Those of sessions go last, however long they have waited."""
    lot = Lot(2)
    lot.park("a1")
    first, second = lot.park(None), lot.park(None)
    assert lot.stopped == [first]
    lot.park("b2")
    assert lot.stopped == [first, second]
    assert lot.uids() == ["a1", "b2"]
    assert lot.park(None) is lot.stopped[-1]


# Emptying


def clearing(cleared=None):
    future: Future[ProcessState | None] = Future()
    future.set_running_or_notify_cancel()
    if cleared is not None:
        future.set_result(cleared)
    return future


def test_while_it_is_clearing():
    """A process may be taken while it is emptied, and what it says then is no matter."""
    lot, future = Lot(), clearing()
    process = lot.park(known=(), clearing=future)
    process.spoke = True
    parked = lot.parking.take(turn_of(), None)
    assert parked is not None
    assert (parked.process, parked.clearing) == (process, future)


@pytest.mark.parametrize("state", ["dead", "spoke"])
def test_after_it_was_emptied(state):
    """A process that died or spoke after it was emptied is stopped like any other."""
    lot = Lot()
    process = lot.park(known=(), clearing=clearing(ProcessState()))
    setattr(process, state, True)
    assert lot.take() is None
    assert lot.stopped == [process]


@pytest.mark.parametrize(
    "end",
    [
        lambda lot: lot.take(turn_of(system="Be brief.")),
        lambda lot: lot.parking.forget(key_of()),
        lambda lot: lot.parking.shrink(0),
        lambda lot: lot.parking.close(),
        lambda lot: lot.park(),
    ],
)
def test_not_stopped_while_it_is_emptied(end):
    """Whatever ends a process's wait, it is stopped once nothing reads from it any more."""
    lot, future = Lot(), clearing()
    process = lot.park(known=(), clearing=future)
    end(lot)
    assert lot.stopped == []
    future.set_result(None)
    assert lot.stopped == [process]


def test_cancelled_emptying():
    """A process whose emptying never began is stopped at once."""
    lot, future = Lot(), Future[ProcessState | None]()
    process = lot.park(known=(), clearing=future)
    future.cancel()
    lot.parking.forget(key_of())
    assert lot.stopped == [process]


# Limits


@pytest.mark.parametrize(("size", "limit"), [(2, MANY), (MANY, 2), (2, 2)])
def test_size(size, limit):
    """The process that has waited for longest goes where there are more than there may be."""
    lot = Lot(size)
    first, *_ = (lot.park(uid, limit=limit) for uid in ("a1", "b2", "c3"))
    assert lot.uids() == ["b2", "c3"]
    assert lot.stopped == [first]


@pytest.mark.parametrize(("size", "limit"), [(0, MANY), (MANY, 0), (MANY, -1)])
def test_no_room(size, limit):
    """Where none may stay, none does."""
    lot = Lot(size)
    assert lot.stopped == [lot.park(limit=limit)]
    assert lot.uids() == []


def test_longest_is_since_it_was_parked():
    """A process that was used in between has not waited for longest."""
    lot = Lot(2)
    lot.park("a1")
    second = lot.park("b2")
    assert lot.take(turn_of("a1"))
    lot.park("a1")
    lot.park("c3")
    assert lot.stopped == [second]


def test_fitting():
    """As many are stopped as are needed elsewhere, those first that have waited for longest."""
    lot = Lot()
    processes = [lot.park(uid) for uid in ("a1", "b2", "c3")]
    for limit, left in ((5, 3), (3, 3), (1, 1), (-2, 0)):
        lot.parking.shrink(limit)
        assert len(lot.uids()) == left
    assert lot.stopped == processes


def test_too_much_memory():
    """A process that has grown too large is stopped, not parked."""
    lot = Lot()
    lot.park("a1", rss=MAX_RSS)
    large = lot.park("b2", rss=MAX_RSS + 1)
    assert lot.uids() == ["a1"]
    assert lot.stopped == [large]


def test_too_little_memory():
    """Where memory is scarce none is parked, and those that are go one by one, oldest first."""
    lot = Lot()
    first, second = lot.park("a1"), lot.park("b2")
    lot.is_scarce = True
    late = lot.park("c3")
    assert lot.stopped == [late]
    lot.parking.remove_expired()
    assert lot.stopped == [late, first]
    lot.parking.remove_expired()
    lot.parking.remove_expired()
    assert lot.stopped == [late, first, second]


def test_idle():
    """A process that has waited too long is stopped, and not before."""
    lot = Lot()
    first = lot.park("a1")
    lot.now = 1.0
    second = lot.park("b2")
    lot.now = IDLE - 0.1
    lot.parking.remove_expired()
    assert lot.stopped == []
    lot.now = IDLE
    lot.parking.remove_expired()
    assert lot.stopped == [first]
    lot.now = IDLE + 1.0
    lot.parking.remove_expired()
    assert lot.stopped == [first, second]


def test_dead_ones_are_tidied():
    """A process that has died makes room."""
    lot = Lot()
    process = lot.park("a1")
    lot.park("b2")
    process.dead = True
    lot.parking.remove_expired()
    assert lot.uids() == ["b2"]
    assert lot.stopped == [process]


# Endings


def test_replaced():
    """Of two processes of a session the later one stays."""
    lot = Lot()
    first, second = lot.park(), lot.park()
    assert lot.stopped == [first]
    assert lot.take() is second


def test_forgotten():
    """A session's process goes with it, and no other one; there may be none."""
    lot = Lot()
    first = lot.park("a1")
    lot.park("b2")
    for _ in range(2):
        lot.parking.forget(key_of("a1"))
    assert lot.stopped == [first]
    assert lot.uids() == ["b2"]


def test_closed():
    """Closing stops all, and what comes later is stopped too."""
    lot = Lot()
    first = lot.park("a1")
    lot.parking.close()
    second = lot.park("b2")
    assert lot.stopped == [first, second]
    assert lot.uids() == []
