"""A turn of a session: the messages before it, what is stored after it, and the session's size."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.errors import Conflict, RequestTooLarge
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Compacted,
    Ended,
    Ending,
    Started,
    TextDelta,
)
from wrapper.services.messages.answer import Answer
from wrapper.services.messages.message import ChatMessage
from wrapper.services.sessions.codec import measure
from wrapper.services.sessions.session import Session, new_session
from wrapper.services.sessions.session_turn import (
    MOST_APPROVED,
    Replay,
    SessionTurn,
    StatelessTurn,
)
from wrapper.services.spent import Usage
from wrapper.services.turn import Message, ToolCall

USAGE = Usage(3, 4, 5, 2, 1)
SYSTEM = ChatMessage("system", ("Be brief.",))
NEWER = ChatMessage("developer", ("Be long.",))
BEGAN = 1000.0


def user(text):
    return ChatMessage("user", (text,))


def assistant(text):
    return ChatMessage("assistant", (text,))


def answer_of(*events, ending=Ending.DONE, resumed=False, cost: float | None = 0.25):
    answer = Answer()
    for event in (Started("opus", resumed), *events, Ended(ending, USAGE, cost)):
        answer.add(event)
    return answer


def text_answer(text, **fields):
    return answer_of(TextDelta(text), **fields)


class Claim:
    """A claim that keeps what is saved; `broken` is what saving raises."""

    def __init__(self):
        self.session: Session | None = None
        self.released = 0
        self.broken: Exception | None = None

    def save(self, session):
        if self.broken:
            raise self.broken
        self.session = session

    def release(self):
        self.released += 1


class Talk:
    """A session and its turns, one after the other."""

    def __init__(self):
        self.claim = Claim()
        self.now = BEGAN
        self.empty = new_session("alice", "s", self.now)

    def begin_turn(self, *messages, **fields: Any):
        session = self.claim.session or self.empty
        return SessionTurn(self.claim, session, messages, clock=lambda: self.now, **fields)

    def turn(self, *messages, answer=None, legacy=False, **fields):
        """Run a turn that is stored, and return it."""
        session_turn = self.begin_turn(*messages, **fields)
        session_turn.remember(answer or text_answer("Yes."), legacy=legacy)
        return session_turn

    @property
    def head(self):
        assert self.claim.session
        return self.claim.session.head

    @property
    def messages(self):
        assert self.claim.session
        return self.claim.session.messages


# The messages before a turn


def test_a_new_session():
    """The first turn of a session has no messages before it."""
    session_turn = Talk().begin_turn(user("a"))
    assert (session_turn.before, session_turn.repeats) == ((), False)
    assert (session_turn.key.owner, session_turn.key.id) == ("alice", "s")


def test_what_was_said_before():
    """A turn gets the earlier questions and answers in order."""
    talk = Talk()
    talk.turn(SYSTEM, user("a"), answer=text_answer("b"))
    assert talk.begin_turn(user("c")).before == (SYSTEM, user("a"), assistant("b"))
    talk.turn(user("c"), answer=text_answer("d"))
    assert talk.messages == (SYSTEM, user("a"), assistant("b"), user("c"), assistant("d"))


def test_new_system_messages_replace_the_old():
    """New system messages replace the earlier ones; without any, those stay."""
    talk = Talk()
    talk.turn(SYSTEM, user("a"), NEWER, answer=text_answer("b"))
    talk.turn(user("c"), answer=text_answer("d"))
    assert talk.messages == (SYSTEM, user("a"), NEWER, assistant("b"), user("c"), assistant("d"))
    talk.turn(NEWER, user("e"), answer=text_answer("f"))
    rest = (user("a"), assistant("b"), user("c"), assistant("d"))
    assert talk.messages == (*rest, NEWER, user("e"), assistant("f"))


# What is stored


@pytest.mark.parametrize(
    ("ending", "remembered"),
    [
        (Ending.DONE, True),
        (Ending.LENGTH, True),
        (Ending.CALLS, True),
        (Ending.REFUSED, False),
        (Ending.ABANDONED, False),
    ],
)
def test_endings(ending, remembered):
    """A turn is stored unless the model refused it or nobody waited for its answer."""
    talk = Talk()
    talk.turn(user("a"), answer=text_answer("b", ending=ending))
    assert (talk.claim.session is not None) == remembered
    assert not remembered or talk.messages == (user("a"), assistant("b"))


def test_a_turn_that_has_not_ended():
    """An answer without an end is not stored."""
    talk = Talk()
    talk.turn(user("a"), answer=Answer())
    assert talk.claim.session is None


def test_counters():
    """Turns, resumed turns, usage and costs are counted."""
    talk = Talk()
    talk.turn(user("a"), answer=text_answer("b", cost=0.5))
    first = talk.head
    assert (first.turns, first.resumed, first.usage, first.cost_usd) == (1, 0, USAGE, 0.5)
    talk.turn(user("c"), answer=text_answer("d", resumed=True))
    talk.turn(user("e"), answer=text_answer("f", cost=None))
    head = talk.head
    assert (head.turns, head.resumed, head.cost_usd) == (3, 1, 0.75)
    assert head.usage == Usage(9, 12, 15, 6, 3)
    assert head.messages == len(talk.messages) == 6


def test_times():
    """A session keeps its key and creation time, and storing a turn updates its time of use."""
    talk = Talk()
    talk.turn(user("a"))
    key = talk.head.key
    talk.now = BEGAN + 50
    talk.turn(user("b"))
    assert (talk.head.key, talk.head.created, talk.head.used) == (key, BEGAN, BEGAN + 50)


def test_calls():
    """Calls are stored with their ids, so that the next turn can answer them."""
    talk = Talk()
    events = (CallStarted(0, "c1", "f"), CallDelta(0, '{"a": 1}'))
    talk.turn(user("a"), answer=answer_of(*events, ending=Ending.CALLS))
    assert talk.messages[-1] == ChatMessage("assistant", (ToolCall("c1", "f", '{"a": 1}'),))


def test_legacy_calls():
    """A legacy function_call is stored without an id, as its client sends it."""
    talk = Talk()
    events = (CallStarted(0, "c1", "f"), CallDelta(0, "{}"))
    talk.turn(user("a"), answer=answer_of(*events, ending=Ending.CALLS), legacy=True)
    assert talk.messages[-1].parts == (ToolCall("", "f", "{}"),)


def test_what_cannot_be_saved():
    """An error from the store reaches the caller."""
    talk = Talk()
    talk.claim.broken = Conflict("It is gone.")
    with pytest.raises(Conflict):
        talk.turn(user("a"))


def test_summary():
    """After compaction the session holds the system messages and the summary."""
    talk = Talk()
    talk.turn(SYSTEM, user("a"), answer=text_answer("b"))
    summary = Compacted((Message("user", ("In short",)),))
    talk.turn(user("c"), answer=answer_of(summary, TextDelta("d")))
    assert talk.messages == (SYSTEM, user("In short"), assistant("d"))
    assert talk.head.messages == 3
    assert talk.head.size == sum(map(measure, talk.messages))


def test_closing():
    """Closing releases the session."""
    talk = Talk()
    talk.begin_turn(user("a")).close()
    assert talk.claim.released == 1


def test_closing_that_fails():
    """Closing releases the session even if what is called on close fails."""

    def fail():
        raise OSError("no descriptor is left")

    talk = Talk()
    with pytest.raises(OSError, match="no descriptor"):
        talk.begin_turn(user("a"), closed=fail).close()
    assert talk.claim.released == 1


# Repeated requests


@pytest.mark.parametrize(
    ("first", "second", "repeats"),
    [
        ({}, {"again": True}, True),
        ({"again": True}, {"again": True}, True),
        ({"attempt": "k"}, {"attempt": "k"}, True),
        ({"attempt": "k"}, {"attempt": "k", "again": True}, True),
        ({}, {}, False),
        ({}, {"attempt": "k"}, False),
        ({"attempt": "k"}, {}, False),
        ({"attempt": "k"}, {"attempt": "l"}, False),
        ({"attempt": "k"}, {"attempt": "l", "again": True}, False),
        ({"attempt": "k"}, {"again": True}, False),
    ],
)
def test_what_repeats(first, second, repeats):
    """A turn is replayed where a retry count or idempotency key says that it is a repeat."""
    talk = Talk()
    talk.turn(user("a"), **first)
    session_turn = talk.begin_turn(user("a"), **second)
    assert session_turn.repeats == repeats


REPEAT = {"attempt": "k", "again": True}


@pytest.mark.parametrize(
    "messages", [(user("b"),), (user("a"), user("a")), (SYSTEM, user("a")), (assistant("a"),)]
)
def test_other_messages_repeat_nothing(messages):
    """A request with other messages is a new turn."""
    talk = Talk()
    talk.turn(user("a"), **REPEAT)
    assert not talk.begin_turn(*messages, **REPEAT).repeats


def test_only_the_last_turn_repeats():
    """An earlier turn than the last is not replayed but run again."""
    talk = Talk()
    talk.turn(user("a"), attempt="k")
    talk.turn(user("b"), attempt="l")
    assert not talk.begin_turn(user("a"), attempt="k").repeats


def test_nothing_to_repeat():
    """A repeated first request that failed before runs as a new turn."""
    assert not Talk().begin_turn(user("a"), **REPEAT).repeats


def test_the_same_again_that_fails():
    """When the second of two equal requests fails, its repeat gets a new answer."""
    talk = Talk()
    talk.turn(user("Go on."), answer=text_answer("b"))
    talk.begin_turn(user("Go on.")).close()
    assert talk.messages == (user("Go on."), assistant("b"))
    assert not talk.begin_turn(user("Go on."), again=True).repeats
    talk.turn(user("Go on."), answer=text_answer("c"), again=True)
    assert talk.messages == (user("Go on."), assistant("b"), user("Go on."), assistant("c"))
    assert talk.begin_turn(user("Go on."), again=True).repeats


def replayed(answer, **fields):
    """Return the events that replay a turn with *answer*."""
    talk = Talk()
    talk.turn(user("a"), answer=answer, **fields)
    session_turn = talk.begin_turn(user("a"), again=True)
    events = list(session_turn.replay())
    again = Answer()
    for event in events:
        again.add(event)
    return events, again


def test_replay():
    """A replay has the answer, model, ending, usage and cost of the original turn."""
    events, _ = replayed(text_answer("Yes.", ending=Ending.LENGTH, resumed=True))
    ended = Ended(Ending.LENGTH, USAGE, 0.25)
    assert events == [Started("opus"), TextDelta("Yes."), ended]


@pytest.mark.parametrize("text", ["", "Well."])
def test_replayed_calls(text):
    """A replay has the original calls, after the text."""
    first = (CallStarted(0, "c1", "f"), CallDelta(0, '{"a":'), CallDelta(0, " 1}"))
    second = (CallStarted(1, "c2", "g"), CallDelta(1, "{}"))
    answer = answer_of(TextDelta(text), *first, *second, ending=Ending.CALLS)
    _, again = replayed(answer)
    assert again.message(legacy=False) == answer.message(legacy=False)
    assert again.ended == answer.ended


def test_replayed_legacy_calls():
    """A replayed legacy function_call has no id again."""
    events = (CallStarted(0, "c1", "f"), CallDelta(0, "{}"))
    answer = answer_of(*events, ending=Ending.CALLS)
    _, again = replayed(answer, legacy=True)
    assert again.message(legacy=True) == answer.message(legacy=True)


def test_replays_are_of_one_choice():
    """A replay yields the events of one turn and has none left on close."""
    replay = Replay([Started("opus"), TextDelta("a")])
    assert list(replay) == [(0, Started("opus")), (0, TextDelta("a"))]
    assert list(replay.close()) == []


# The size of a session


def checked(session_turn, size):
    """Say whether the turn passes the check for sessions of *size* bytes."""
    try:
        session_turn.check(size)
    except RequestTooLarge:
        return False
    return True


def test_too_large():
    """A session with the new messages may have no more than the limit."""
    talk = Talk()
    first = measure(user("a"))
    assert checked(talk.begin_turn(user("a")), first)
    assert not checked(talk.begin_turn(user("a")), first - 1)
    talk.turn(user("a"))
    both = talk.head.size + measure(user("bc"))
    assert checked(talk.begin_turn(user("bc")), both)
    assert not checked(talk.begin_turn(user("bc")), both - 1)


def test_what_is_too_large_is_told():
    """The error for a session that is too large names the setting and what to do."""
    with pytest.raises(RequestTooLarge, match=r"SESSION_MAX_BYTES.*Begin another") as caught:
        Talk().begin_turn(user("a")).check(0)
    assert (caught.value.param, caught.value.code) == ("session_id", "session_too_large")


def test_a_repeat_is_never_too_large():
    """A replay is allowed however large the session is."""
    talk = Talk()
    talk.turn(user("a"))
    assert checked(talk.begin_turn(user("a"), again=True), 0)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
TURNS = st.lists(
    st.tuples(st.lists(st.sampled_from([SYSTEM, NEWER]), max_size=2), TEXTS, TEXTS), max_size=5
)


@given(TURNS)
def test_sizes(turns):
    """The size that is counted turn by turn equals that of all messages."""
    talk = Talk()
    for system, asked, answered in turns:
        session_turn = talk.turn(*system, user(asked), answer=text_answer(answered))
        assert talk.head.size == sum(map(measure, talk.messages))
        assert talk.head.messages == len(talk.messages)
        assert session_turn.key == talk.head.key


# Without a session


def test_passing():
    """A request without a session has no earlier messages."""
    passing = StatelessTurn()
    assert (passing.before, passing.key, passing.repeats) == ((), None, False)
    assert list(passing.replay()) == []


def test_sessions_are_never_changed():
    """A stored session stays unchanged when a later turn is stored."""
    talk = Talk()
    talk.turn(user("a"))
    before = talk.claim.session
    assert before is not None
    copy = replace(before)
    talk.turn(user("b"))
    assert before == copy
    assert talk.claim.session != before


# Approvals


def test_approvals_are_kept_with_the_session():
    """What a turn gets approved is known to the next one, and to no turn without a session."""
    talk = Talk()
    first = talk.begin_turn(user("a"))
    first.approved.add("digest")
    first.remember(text_answer("Yes."))
    assert talk.begin_turn(user("b")).approved == {"digest"}
    StatelessTurn().approved.add("digest")
    assert StatelessTurn().approved == set()


def test_approvals_are_bounded():
    """A session remembers its last approvals."""
    talk = Talk()
    for number in range(MOST_APPROVED + 1):
        turn = talk.begin_turn(user(str(number)))
        turn.approved.add(f"digest {number}")
        turn.remember(text_answer("Yes."))
    assert len(talk.head.approved) == MOST_APPROVED
    assert talk.head.approved[-1] == f"digest {MOST_APPROVED}"
