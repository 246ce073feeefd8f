"""The chat service with sessions: what a turn leaves, however it ends, whole and streamed."""

import threading
from dataclasses import replace

import pytest

from tests.support.turn_harness import WHOLE_AND_STREAMED, TurnHarness, read_stream
from wrapper.errors import (
    ApiError,
    BadAnswer,
    ClientGone,
    Conflict,
    InvalidRequest,
    Overloaded,
    QuotaExceeded,
    RateLimited,
    RequestTooLarge,
    Unavailable,
)
from wrapper.services.background.watchdog import CHECK_SECONDS
from wrapper.services.events import CallDelta, CallStarted, Ended, Ending, Started, TextDelta, Used
from wrapper.services.messages.message import ChatMessage
from wrapper.services.principal import LOCAL, Caller, Principal
from wrapper.services.spent import Spent, Usage
from wrapper.services.turn import Function, OutputSchema, ToolCall
from wrapper.testing.engine import Step, answer

USAGE = Usage(input=3, output=2)
LONG = 3600.0
NUMBER = {"type": "object", "properties": {"a": {"type": "integer"}}}
SHAPE = OutputSchema("number", NUMBER, strict=True)


def ended(ending=Ending.DONE):
    return Ended(ending, USAGE, 0.001)


@pytest.fixture
def harness(tmp_path):
    """Make a house with books of its own; it is closed after the test."""
    harnesses = []

    def make(*args, **settings):
        harnesses.append(TurnHarness(*args, usage_db=str(tmp_path / "usage.db"), **settings))
        return harnesses[-1]

    yield make
    for one in harnesses:
        one.gateway.close()


# Turns that are remembered


@WHOLE_AND_STREAMED
def test_it_goes_on(harness, stream):
    """Each turn is asked with all that was said before it."""
    here = harness(lambda turn: answer(f"{len(turn.messages)}."))
    assert [here.say(text, stream=stream).text for text in "abc"] == ["1.", "3.", "5."]
    assert here.remembered() == ["a", "1.", "b", "3.", "c", "5."]
    texts = [message.parts for message in here.engine.turns[-1].messages]
    assert texts == [("a",), ("1.",), ("b",), ("3.",), ("c",)]
    assert here.free()


@WHOLE_AND_STREAMED
def test_without_a_session(harness, stream):
    """Without session_id nothing was said before, and nothing is kept."""
    here = harness()
    for text in "ab":
        here.say(text, session_id=None, stream=stream)
    assert [len(turn.messages) for turn in here.engine.turns] == [1, 1]
    assert here.gateway.stores.sessions.heads(LOCAL) == []


@WHOLE_AND_STREAMED
def test_what_may_change(harness, stream):
    """Model, sampling, system prompt and functions may be others in each turn."""
    here = harness()
    here.say(ChatMessage("system", ("Be brief.",)), "a", model="opus", stream=stream)
    here.say("b", model="haiku", temperature=0.5, stream=stream)
    functions = (Function("f", {"type": "object"}),)
    newer = ChatMessage("system", ("Be long.",))
    here.say(newer, "c", functions=functions, stream=stream)
    first, second, third = here.engine.turns
    assert [first.model, second.model] == ["opus", "haiku"]
    assert [turn.system for turn in here.engine.turns] == ["Be brief.", "Be brief.", "Be long."]
    assert (first.sampling.temperature, second.sampling.temperature) == (None, 0.5)
    assert (third.sampling.temperature, third.functions) == (None, functions)


CALLED = [Started("m"), CallStarted(0, "c1", "f"), CallDelta(0, "{}"), ended(Ending.CALLS)]


@WHOLE_AND_STREAMED
def test_functions(harness, stream):
    """A call is remembered, so that the next turn need only bring its result."""
    here = harness()
    here.plays(*CALLED)
    functions = (Function("f", {"type": "object"}),)
    assert here.say("a", functions=functions, stream=stream).reason == "tool_calls"
    here.plays(*answer("Done."))
    here.say(ChatMessage("tool", ("1",), "c1"), functions=functions, stream=stream)
    assert [message.role for message in here.engine.turns[-1].messages] == [
        *("user", "assistant", "user")
    ]


@WHOLE_AND_STREAMED
def test_a_call_that_is_not_answered(harness, stream):
    """With STRICT_PARAMS a turn that passes over a call of the session is refused."""
    here = harness(strict_params=True)
    here.plays(*CALLED)
    functions = (Function("f", {"type": "object"}),)
    here.say("a", functions=functions, stream=stream)
    before = here.remembered()
    with pytest.raises(InvalidRequest, match=r"in the session.*c1"):
        here.say("b", functions=functions, stream=stream)
    assert here.remembered() == before
    assert here.free()


def test_remembered_before_it_is_told(harness):
    """A turn is remembered by the time that a client is told of its end."""
    here = harness()
    stream = here.begin("a", stream=True)
    for chunk in stream.chunks:
        done = chunk and chunk["choices"][0]["finish_reason"]
        assert (here.remembered() is not None) == bool(done)
    stream.close()
    assert here.remembered() == ["a", "Yes."]


def test_a_stream_that_is_closed_after_its_end(harness):
    """A client that leaves after the last chunk was told of a turn that is remembered."""
    here = harness()
    stream = here.begin("a", stream=True, include_usage=True)
    while not (chunk := next(stream.chunks)) or not chunk["choices"][0]["finish_reason"]:
        pass
    stream.close()
    assert here.remembered() == ["a", "Yes."]
    assert here.free()


# Turns that are not


def before_it(here):
    """Have a turn remembered; return what the session holds."""
    script = here.script
    here.script = lambda turn: answer("Yes.")
    here.say("before")
    here.script = script
    return here.remembered()


FAILURES: list[tuple[type[ApiError], list[Step]]] = [
    (Overloaded, [Overloaded("Busy.")]),
    (Overloaded, [Started("m"), TextDelta("half"), Overloaded("Busy.")]),
    (ApiError, [Started("m"), *CALLED[1:3], ApiError("Lost.")]),
]


@WHOLE_AND_STREAMED
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(("kind", "steps"), FAILURES)
def test_failures(harness, kind, steps, begun, stream):
    """A turn that fails, at its start or in its middle, leaves the session as it was."""
    here = harness()
    before = before_it(here) if begun else None
    here.plays(*steps)
    with pytest.raises(kind):
        here.say("a", stream=stream)
    assert here.remembered() == before
    assert here.free()
    here.plays(*answer("Again."))
    assert here.say("a", stream=stream).text == "Again."


@WHOLE_AND_STREAMED
def test_crashes(harness, stream):
    """An error that nobody foresaw leaves the session as it was, and free."""
    here = harness()
    before = before_it(here)
    here.plays(Started("m"), TextDelta("half"), KeyError("x"))
    with pytest.raises(KeyError):
        here.say("a", stream=stream)
    assert here.remembered() == before
    assert here.free()


@WHOLE_AND_STREAMED
def test_refused_by_the_model(harness, stream):
    """A turn that the model refused is told, and not remembered: all later ones would be too."""
    here = harness()
    before = before_it(here)
    here.plays(Started("m"), TextDelta("No."), ended(Ending.REFUSED))
    assert here.say("a", stream=stream).reason == "content_filter"
    assert here.remembered() == before
    assert here.free()


@WHOLE_AND_STREAMED
@pytest.mark.parametrize("session_id", ["s", None])
def test_an_answer_in_another_shape(harness, session_id, stream):
    """An answer that does not fit its shape ends in an error, and is not remembered."""
    here = harness()
    before = before_it(here)
    here.plays(*answer('{"a": "one"}'))
    with pytest.raises(BadAnswer, match="'number'"):
        here.say("a", output_schema=SHAPE, session_id=session_id, stream=stream)
    assert here.remembered() == before
    assert here.free()
    here.plays(*answer('{"a": 1}'))
    told = here.say("a", output_schema=SHAPE, session_id=session_id, stream=stream)
    assert (told.text, told.reason) == ('{"a": 1}', "stop")


def test_a_stream_in_another_shape(harness):
    """A stream whose answer does not fit its shape ends in the error, and tells of no end."""
    here = harness()
    here.plays(*answer("one"))
    stream = here.begin("a", stream=True, output_schema=SHAPE)
    chunks = []
    with pytest.raises(BadAnswer):
        chunks.extend(stream.chunks)
    stream.close()
    assert all(choice["finish_reason"] is None for one in chunks for choice in one["choices"])


@WHOLE_AND_STREAMED
def test_a_call_with_odd_arguments(harness, stream):
    """A session goes on from any call, also from one whose arguments are no JSON object."""
    here = harness()
    here.plays(Started("m"), CallStarted(0, "c", "f"), CallDelta(0, "{"), ended(Ending.CALLS))
    assert here.say("a", stream=stream).reason == "tool_calls"
    here.plays(*answer("Done."))
    here.say(ChatMessage("tool", ("1",), "c"), stream=stream)
    _, called, _ = here.engine.turns[-1].messages
    assert called.parts == (ToolCall("c", "f", '{"INVALID_JSON": "{"}'),)


@pytest.mark.parametrize("read", [0, 1, 2, 3])
def test_a_client_that_leaves_a_stream(harness, read):
    """What a client had been sent when it left is not remembered as said."""
    here = harness()
    before = before_it(here)
    here.plays(Started("m"), TextDelta("half"), TextDelta(" of it"), LONG, ended())
    stream = here.begin("a", stream=True)
    for _ in range(read):
        next(stream.chunks)
    stream.close()
    assert here.remembered() == before
    assert here.free()


def test_a_client_that_is_gone(harness):
    """A client that is seen to have left is answered no more, and nothing is remembered."""
    here = harness()
    before = before_it(here)
    gone = threading.Event()

    def steps(turn):
        yield Started("m")
        yield TextDelta("half")
        gone.set()
        yield CHECK_SECONDS * 2
        yield ended()

    here.script = steps
    with pytest.raises(ClientGone):
        here.say("a", caller=Caller(gone=gone.is_set))
    assert here.remembered() == before
    assert here.free()


def test_what_an_abandoned_turn_used_is_booked(harness):
    """What a turn that was cut off has used is booked, though nothing of it is remembered."""
    here = harness()
    here.caller = Caller(Principal("local", usd_per_day=0.4))
    here.engine._last = [Used({"m": Spent(USAGE, 0.5)}), ended(Ending.ABANDONED)]
    here.plays(Started("m"), TextDelta("half"), LONG)
    stream = here.begin("a", stream=True)
    next(stream.chunks)
    stream.close()
    assert here.remembered() is None
    with pytest.raises(QuotaExceeded):
        here.say("b")


@WHOLE_AND_STREAMED
def test_deleted_meanwhile(harness, stream):
    """A turn whose session is deleted meanwhile is told, and leaves none."""
    here = harness()
    before_it(here)

    def steps(turn):
        yield from answer("Yes.")[:-1]
        here.gateway.stores.sessions.delete(LOCAL, "s")
        yield ended()

    here.script = steps
    with pytest.raises(Conflict, match="deleted"):
        here.say("a", stream=stream)
    assert here.remembered() is None
    assert here.free()


# Turns that do not begin


@WHOLE_AND_STREAMED
def test_busy(harness, stream):
    """A turn that waits too long for another one of its session gives its place back."""
    here = harness(session_wait=0)
    first = here.begin("a", stream=True)
    with pytest.raises(Conflict) as caught:
        here.say("b", stream=stream)
    assert caught.value.retry is False
    assert here.say("c", session_id="t", stream=stream).text == "Yes."
    assert read_stream(first).text == "Yes."
    assert here.remembered() == ["a", "Yes."]
    assert here.free()


@WHOLE_AND_STREAMED
def test_too_large(harness, stream):
    """A session that would be too large gives place and session back, and stays as it was."""
    here = harness(session_max_bytes=300)
    before = before_it(here)
    with pytest.raises(RequestTooLarge):
        here.say("x" * 300, stream=stream)
    assert here.remembered() == before
    assert here.free()


@WHOLE_AND_STREAMED
def test_no_place(harness, stream):
    """Where no place is free the session is not waited for."""
    here = harness(max_queue=0)
    release = here.gateway.limits.admission.admit(here.gateway.settings.max_concurrent_turns)
    with pytest.raises(RateLimited):
        here.say("a", stream=stream)
    release()
    assert here.free()


@WHOLE_AND_STREAMED
def test_a_store_that_cannot_be_reached(harness, stream, monkeypatch):
    """A store that fails takes no place with it, and requests without a session go on."""
    here = harness()

    def fail(*_):
        raise Unavailable("The store is away.")

    monkeypatch.setattr(here.gateway.stores.sessions._store, "claim", fail)
    with pytest.raises(Unavailable):
        here.say("a", stream=stream)
    assert here.say("a", session_id=None, stream=stream).text == "Yes."
    monkeypatch.undo()
    assert here.free()


@WHOLE_AND_STREAMED
@pytest.mark.parametrize(
    ("caller", "error"),
    [
        (Principal("local", requests_per_minute=1), RateLimited),
        (Principal("local", usd_per_day=0.0005), QuotaExceeded),
    ],
)
def test_over_the_limit(harness, caller, error, stream):
    """A caller that may ask no more gives place and session back."""
    here = harness()
    here.say("a", caller=Caller(caller))
    before = here.remembered()
    with pytest.raises(error):
        here.say("b", caller=Caller(caller), stream=stream)
    assert here.remembered() == before
    assert here.free()


@WHOLE_AND_STREAMED
def test_messages_that_cannot_follow(harness, stream):
    """Messages that STRICT_PARAMS refuses after what was said give place and session back."""
    here = harness(strict_params=True)
    before = before_it(here)
    with pytest.raises(InvalidRequest) as caught:
        here.say(ChatMessage("tool", ("1",), "c9"), stream=stream)
    assert caught.value.param == "messages.0.tool_call_id"
    assert here.remembered() == before
    assert here.free()


def fail(*_):
    raise RuntimeError("a fault of our own")


@WHOLE_AND_STREAMED
def test_faults_at_the_start(harness, stream, monkeypatch):
    """A fault just before a turn begins gives place and session back."""
    here = harness()
    monkeypatch.setattr(here.gateway.limits.rates, "notes", fail)
    with pytest.raises(RuntimeError):
        here.say("a", stream=stream)
    assert here.free()


@WHOLE_AND_STREAMED
def test_faults_at_the_end(harness, stream, monkeypatch):
    """A fault while a turn is ended gives place and session back, too."""
    here = harness()
    monkeypatch.setattr("wrapper.services.turns.usage_recorder.UsageRecorder.close", fail)
    with pytest.raises(RuntimeError):
        here.say("a", stream=stream)
    assert here.free()


# What is asked for again


@WHOLE_AND_STREAMED
def test_retries(harness, stream):
    """What a client asks for again is answered as before, without a turn, and is marked as that."""
    here = harness()
    first = here.say("a", stream=stream)
    again = here.say("a", stream=stream, caller=Caller(again=True))
    assert (again.text, again.reason) == (first.text, first.reason)
    assert again.notes["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.notes
    assert len(here.engine.turns) == 1
    assert here.remembered() == ["a", "Yes."]
    assert here.free()


@WHOLE_AND_STREAMED
def test_retries_of_what_failed(harness, stream):
    """What a client asks for again as it failed is answered for the first time."""
    here = harness()
    here.plays(Overloaded("Busy."))
    with pytest.raises(Overloaded):
        here.say("a", stream=stream)
    here.plays(*answer("Now."))
    told = here.say("a", stream=stream, caller=Caller(again=True))
    assert (told.text, "idempotent-replayed" in told.notes) == ("Now.", False)


@WHOLE_AND_STREAMED
def test_retries_are_not_booked(harness, stream):
    """An answer that is told again costs nothing."""
    here = harness()
    caller = Caller(Principal("again", usd_per_day=0.0015))
    here.say("a", caller=caller, stream=stream)
    for _ in range(3):
        here.say("a", caller=replace(caller, again=True), stream=stream)
    assert here.say("b", caller=caller, stream=stream).text == "Yes."


def test_a_retry_waits_for_the_first_attempt(harness):
    """A retry that comes while the first attempt still runs is answered once that is done."""
    here = harness()
    first = here.begin("a", stream=True)
    told = []
    retry = threading.Thread(target=lambda: told.append(here.say("a", caller=Caller(again=True))))
    retry.start()
    assert read_stream(first).text == "Yes."
    retry.join(20)
    assert [one.notes.get("idempotent-replayed") for one in told] == ["true"]
    assert len(here.engine.turns) == 1


# What the requests before have set


@WHOLE_AND_STREAMED
@pytest.mark.parametrize(
    "first",
    [
        {"functions": (Function("f", {}),)},
        {"output_schema": SHAPE},
        {"profile": "plain"},
        {"caller": Caller(replace(LOCAL, profile="plain"))},
    ],
)
def test_a_plain_session_stays_plain(harness, stream, first):
    """A session that has once been plain gives no request an agent that does not ask for one."""
    here = harness(lambda turn: answer('{"a": 1}'))
    here.say("a", stream=stream, **first)
    here.say("b", stream=stream)
    here.say("c", stream=stream, profile="agent")
    here.say("d", stream=stream)
    assert [turn.profile for turn in here.engine.turns] == ["plain", "plain", "agent", "plain"]


@WHOLE_AND_STREAMED
def test_calls_in_a_session(harness, stream):
    """The result of a call, brought without its function, makes no agent; nor does what follows."""
    here = harness()
    here.plays(Started("m"), CallStarted(0, "c", "f"), CallDelta(0, "{}"), ended(Ending.CALLS))
    here.say("a", stream=stream, functions=(Function("f", {}),))
    here.plays(*answer("Yes."))
    here.say(ChatMessage("tool", ("42",), "c"), stream=stream)
    here.say("b", stream=stream)
    assert {turn.profile for turn in here.engine.turns} == {"plain"}


def test_calls_of_a_session_that_was_agents(harness):
    """Calls that a client tells of in an agent's session make it plain from there on."""
    here = harness()
    here.say("a")
    told = (
        ChatMessage("assistant", (ToolCall("c", "f", "{}"),)),
        ChatMessage("tool", ("42",), "c"),
    )
    here.say("b", *told)
    here.say("c")
    assert [turn.profile for turn in here.engine.turns] == ["agent", "plain", "plain"]


@WHOLE_AND_STREAMED
def test_an_agent_that_was_narrowed(harness, stream):
    """What an agent may not do from its session's beginning holds for requests that do not say."""
    here = harness()
    narrow = {"allowed_tools": ("Read", "Bash"), "disallowed_tools": ("Bash(rm:*)",)}
    here.say("a", stream=stream, permission_mode="plan", max_turns=2, **narrow)
    here.say("b", stream=stream, permission_mode="default")
    here.say("c", stream=stream)
    first, second, third = here.engine.turns
    assert [turn.permissions.mode for turn in here.engine.turns] == ["plan", "default", "plan"]
    assert first.permissions.deny == second.permissions.deny == third.permissions.deny


def test_a_session_keeps_its_model(harness):
    """A request that names no model runs that of its session, also where the default is denied."""
    here = harness()
    caller = Caller(replace(LOCAL, models=("haiku",)))
    here.say("a", caller=caller, model="haiku")
    here.say("b", caller=caller)
    assert [turn.model for turn in here.engine.turns] == ["haiku", "haiku"]


def test_a_failed_turn_sets_nothing(harness):
    """A turn that is not remembered leaves its session's options as they were."""
    here = harness()
    here.say("a")
    here.plays(Overloaded("Busy."))
    with pytest.raises(Overloaded):
        here.say("b", profile="plain", model="haiku")
    here.plays(*answer("Yes."))
    here.say("c")
    assert (here.engine.turns[-1].profile, here.engine.turns[-1].model) == ("agent", "sonnet")
