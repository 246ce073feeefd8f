"""The parking lot: processes wait for a further turn, and only for one that fits."""

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


class FakeProcess:
    """A process that dies or writes something when the test says so."""

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
    """A parking lot and its surroundings. `rss` is each process's memory, by its pid.

    With *recycle*, its processes are recyclable.
    """

    def __init__(self, size=MANY, recycle=False):
        self.recycle = recycle
        self.now = 0.0
        self.rss: dict[int, int] = {}
        self.is_scarce = False
        self.stopped: list[Any] = []
        self.parking = Parking(
            ParkingLimits(size, IDLE, MAX_RSS),
            discard=self.stopped.append,
            clock=lambda: self.now,
            resident=lambda pid: self.rss.get(pid, 0),
            scarce=lambda: self.is_scarce,
        )

    def park(
        self, uid="a1", turn=None, workspace=None, known=KNOWN, clearing=None, limit=MANY, rss=0
    ):
        """Park a new process after *turn*, and return it."""
        process = FakeProcess(pid=len(self.rss))
        self.rss[process.pid] = rss
        kept = fingerprint(turn or turn_of(uid), workspace)
        session = key_of(uid) if uid else None
        state = ProcessState(known)
        parked = ParkedProcess(
            session, cast(Process, process), kept, state, clearing, self.now, self.recycle
        )
        self.parking.park(parked, limit)
        return process

    def take(self, turn=None, workspace=None):
        """Take the process for the turn, and return it if there is one."""
        parked = self.parking.take(turn or turn_of(), workspace)
        return parked and parked.process

    def uids(self):
        return [key.uid for key in self.parking.sessions()]


# What fits


def test_taken():
    """A session's next turn takes the process of the last one off the lot."""
    lot = Lot()
    process = lot.park()
    assert lot.uids() == ["a1"]
    assert lot.take() is process
    assert lot.uids() == []
    assert lot.take() is None
    assert lot.stopped == []


def test_each_session_has_its_own():
    """No session gets another session's process, even with the same owner and id."""
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
    """A turn whose fingerprint differs in a part gets no process, and that is stopped."""
    before, after = reversed(PARTS[part]) if flip else PARTS[part]
    lot = Lot()
    process = lot.park(turn=before)
    assert lot.take(after) is None
    assert lot.stopped == [process]
    assert lot.uids() == []


def test_turns_in_the_background():
    """Turns in the background have processes of their own, except those of sessions."""
    lot = Lot(recycle=True)
    awaited = replace(turn_of(), session=None)
    later = replace(awaited, background=True)
    ours, theirs = (lot.park(None, turn, known=()) for turn in (awaited, later))
    assert lot.take(later) is theirs
    assert lot.take(later) is None
    assert lot.take(awaited) is ours
    process = lot.park("a1")
    assert lot.take(replace(turn_of("a1"), background=True)) is process


def test_processes_for_the_background_go_first():
    """Of processes without a session, those for turns in the background are stopped first."""
    lot = Lot(recycle=True)
    awaited = replace(turn_of(), session=None)
    ours = [lot.park(None, awaited, known=()) for _ in range(2)]
    later = replace(awaited, background=True, principal=Principal("bob"))
    theirs = lot.park(None, later, known=())
    lot.parking.shrink(2)
    assert lot.stopped == [theirs]
    lot.parking.shrink(0)
    assert lot.stopped == [theirs, *ours]


@pytest.mark.parametrize(("before", "after"), [(None, "/a"), ("/a", None), ("/a", "/b")])
def test_directory(before, after):
    """A turn in another directory gets no process."""
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
    """In plain, where Claude Code adds nothing to messages, the model may change."""
    lot = Lot()
    plain = turn_of(profile="plain")
    process = lot.park(turn=plain)
    assert lot.take(replace(plain, model="opus")) is process


@pytest.mark.parametrize(("before", "after"), [(3, 5), (5, 3)])
def test_how_many_rounds_may_change(before, after):
    """The limit of rounds may change, as long as there is one."""
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
    """A process that knows another conversation than the session stores is stopped."""
    lot = Lot()
    process = lot.park()
    assert lot.take(turn_of(messages=messages)) is None
    assert lot.stopped == [process]


@pytest.mark.parametrize("messages", [(*KNOWN, NEXT), (*KNOWN, NEXT, SAID, NEXT)])
def test_more_may_be_said(messages):
    """A process runs any turn that adds to what it knows."""
    lot = Lot()
    process = lot.park()
    assert lot.take(turn_of(messages=messages)) is process


@pytest.mark.parametrize("state", ["dead", "spoke"])
def test_what_has_died_or_spoken(state):
    """A process that died, or wrote something unasked, is stopped."""
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
    """A turn that sends the conversation again continues on its process, but only one."""
    lot = Lot()
    process = lot.park(None)
    assert lot.uids() == []
    assert lot.parking.count() == 1
    assert lot.take(turn_without()) is process
    assert lot.take(turn_without()) is None
    assert lot.stopped == []


def test_sessions_and_others_are_kept_apart():
    """Turns of sessions and turns without never get each other's processes."""
    lot = Lot()
    nobodys, sessions = lot.park(None), lot.park("a1")
    assert lot.take(turn_of("b2")) is None
    assert lot.take(turn_without()) is nobodys
    assert lot.take(turn_without()) is None
    assert lot.take(turn_of("a1")) is sessions


@pytest.mark.parametrize("messages", [KNOWN, (NEXT,), (*OTHER, NEXT), (*KNOWN[::-1], NEXT)])
def test_what_was_not_said_is_a_miss(messages):
    """A process that knows another conversation stays for a turn that fits."""
    lot = Lot()
    process = lot.park(None)
    assert lot.take(turn_without(messages)) is None
    assert lot.stopped == []
    assert lot.take(turn_without()) is process


@pytest.mark.parametrize("part", PARTS)
def test_fingerprint_without_a_session(part):
    """A turn whose fingerprint differs in a part gets no process, recycled or not."""
    for recycle in (False, True):
        before, after = (replace(turn, session=None) for turn in PARTS[part])
        lot = Lot(recycle=recycle)
        lot.park(None, turn=before)
        assert lot.take(after) is None


def test_the_one_that_knows_most():
    """The process that knows most is taken first, and last one that must be cleared."""
    lot = Lot(recycle=True)
    other = lot.park(None, known=OTHER)
    none = lot.park(None, known=())
    less = lot.park(None, known=(USER,))
    most = lot.park(None)
    taken = [lot.take(turn_without()) for _ in range(5)]
    assert taken == [most, less, none, other, None]


def test_one_that_is_still_being_cleared():
    """A process that is cleared is taken before one that is being cleared."""
    lot = Lot(recycle=True)
    busy = lot.park(None, known=(), clearing=clearing())
    done = lot.park(None, known=(), clearing=clearing(ProcessState()))
    assert [lot.take(turn_without()) for _ in range(2)] == [done, busy]


@pytest.mark.parametrize(("is_ready", "first"), [(True, 1), (False, 0)])
def test_the_one_that_ran_last(is_ready, first):
    """The process that ran last is taken first, but if all are being cleared, the one before."""
    lot, processes = Lot(recycle=True), []
    for _ in range(2):
        state = ProcessState() if is_ready else None
        processes.append(lot.park(None, known=(), clearing=clearing(state)))
        lot.now += 1
    assert lot.take(turn_without()) is processes[first]


def test_cleared_for_a_body():
    """A process that is cleared runs a turn with a body without being cleared once more."""
    lot = Lot(recycle=True)
    lot.park(None, known=(), clearing=clearing(ProcessState()))
    turn = turn_without((), body={})
    parked = lot.parking.take(turn, None)
    assert parked
    assert parked.continues(turn)


@pytest.mark.parametrize("recycle", [False, True])
def test_recycling(recycle):
    """A process that knows another conversation is taken if recycling is allowed."""
    lot = Lot(recycle=recycle)
    process = lot.park(None, known=OTHER)
    parked = lot.parking.take(turn_without(), None)
    assert bool(parked) is recycle
    if parked:
        assert parked.process is process
        assert not parked.continues(turn_without())


@pytest.mark.parametrize("state", ["dead", "spoke"])
def test_those_that_died_or_spoke_are_passed_over(state):
    """A process that died, or wrote something unasked, is not taken."""
    lot = Lot(recycle=True)
    broken, well = lot.park(None), lot.park(None, known=(USER,))
    setattr(broken, state, True)
    assert lot.take(turn_without()) is well
    assert lot.take(turn_without()) is None


def test_no_caller_displaces_another():
    """The caller who has most processes loses the oldest of them."""
    lot = Lot(size=3)
    alice = lot.park(None, turn=turn_without())
    turn = turn_without(principal=Principal("bob"))
    bobs = [lot.park(None, turn=turn) for _ in range(3)]
    assert lot.stopped == bobs[:1]
    assert lot.take(turn_without()) is alice


def test_sessions_stay_longer():
    """Processes of sessions are stopped last, however long they have waited."""
    lot = Lot(2)
    lot.park("a1")
    first, second = lot.park(None), lot.park(None)
    assert lot.stopped == [first]
    lot.park("b2")
    assert lot.stopped == [first, second]
    assert lot.uids() == ["a1", "b2"]
    assert lot.park(None) is lot.stopped[-1]


# Clearing


def clearing(cleared=None):
    future: Future[ProcessState | None] = Future()
    future.set_running_or_notify_cancel()
    if cleared is not None:
        future.set_result(cleared)
    return future


def test_while_it_is_cleared():
    """A process may be taken while it is cleared, whatever it writes then."""
    lot, future = Lot(), clearing()
    process = lot.park(known=(), clearing=future)
    process.spoke = True
    parked = lot.parking.take(turn_of(), None)
    assert parked is not None
    assert (parked.process, parked.clearing) == (process, future)


@pytest.mark.parametrize("state", ["dead", "spoke"])
def test_after_it_was_cleared(state):
    """A process that died or wrote something after it was cleared is stopped."""
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
def test_not_stopped_while_it_is_cleared(end):
    """A process is stopped only after it was cleared, whatever removes it from the lot."""
    lot, future = Lot(), clearing()
    process = lot.park(known=(), clearing=future)
    end(lot)
    assert lot.stopped == []
    future.set_result(None)
    assert lot.stopped == [process]


@pytest.mark.parametrize("cancelled", [True, False])
def test_clearing_that_has_not_begun(cancelled):
    """A process is stopped at once if its clearing has not begun, and is then never cleared."""
    lot, future = Lot(), Future[ProcessState | None]()
    process = lot.park(known=(), clearing=future)
    if cancelled:
        future.cancel()
    lot.parking.forget(key_of())
    assert lot.stopped == [process]
    assert future.cancelled()


# Limits


@pytest.mark.parametrize(("size", "limit"), [(2, MANY), (MANY, 2), (2, 2)])
def test_size(size, limit):
    """Beyond the limit, the process that has waited longest is stopped."""
    lot = Lot(size)
    first, *_ = (lot.park(uid, limit=limit) for uid in ("a1", "b2", "c3"))
    assert lot.uids() == ["b2", "c3"]
    assert lot.stopped == [first]


@pytest.mark.parametrize(("size", "limit"), [(0, MANY), (MANY, 0), (MANY, -1)])
def test_no_room(size, limit):
    """With a limit of none, no process stays."""
    lot = Lot(size)
    assert lot.stopped == [lot.park(limit=limit)]
    assert lot.uids() == []


def test_longest_is_since_it_was_parked():
    """A process's wait begins anew after each turn."""
    lot = Lot(2)
    lot.park("a1")
    second = lot.park("b2")
    assert lot.take(turn_of("a1"))
    lot.park("a1")
    lot.park("c3")
    assert lot.stopped == [second]


def test_fitting():
    """Shrinking the lot stops those first that have waited longest."""
    lot = Lot()
    processes = [lot.park(uid) for uid in ("a1", "b2", "c3")]
    for limit, left in ((5, 3), (3, 3), (1, 1), (-2, 0)):
        lot.parking.shrink(limit)
        assert len(lot.uids()) == left
    assert lot.stopped == processes


def test_too_much_memory():
    """A process that uses too much memory is stopped instead of parked."""
    lot = Lot()
    lot.park("a1", rss=MAX_RSS)
    large = lot.park("b2", rss=MAX_RSS + 1)
    assert lot.uids() == ["a1"]
    assert lot.stopped == [large]


def test_too_little_memory():
    """If memory is scarce no process is parked, and parked ones go, oldest first."""
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
    """A process is stopped once it has waited too long, not before."""
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


def test_dead_ones_are_removed():
    """A process that has died leaves the lot."""
    lot = Lot()
    process = lot.park("a1")
    lot.park("b2")
    process.dead = True
    lot.parking.remove_expired()
    assert lot.uids() == ["b2"]
    assert lot.stopped == [process]


# Endings


def test_replaced():
    """Of two processes of a session, the later one stays."""
    lot = Lot()
    first, second = lot.park(), lot.park()
    assert lot.stopped == [first]
    assert lot.take() is second


def test_forgotten():
    """Forgetting a session stops its process, if there is one, and no other."""
    lot = Lot()
    first = lot.park("a1")
    lot.park("b2")
    for _ in range(2):
        lot.parking.forget(key_of("a1"))
    assert lot.stopped == [first]
    assert lot.uids() == ["b2"]


def test_closed():
    """Closing stops all processes, and those that come later."""
    lot = Lot()
    first = lot.park("a1")
    lot.parking.close()
    second = lot.park("b2")
    assert lot.stopped == [first, second]
    assert lot.uids() == []
