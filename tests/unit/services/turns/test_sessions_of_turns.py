"""The chat service with sessions: what a turn leaves, however it ends, whole and streamed."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from wrapper import Gateway
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
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Ended,
    Ending,
    Spent,
    Started,
    TextDelta,
    Usage,
    Used,
)
from wrapper.services.messages.message import ChatMessage
from wrapper.services.principal import LOCAL, Caller, Principal
from wrapper.services.request import ChatRequest
from wrapper.services.turn import Function, OutputSchema, ToolCall, Turn
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, Step, answer

USAGE = Usage(input=3, output=2)
LONG = 3600.0
BOTH = pytest.mark.parametrize("stream", [False, True])
NUMBER = {"type": "object", "properties": {"a": {"type": "integer"}}}
SHAPE = OutputSchema("number", NUMBER, strict=True)


def user(text):
    return ChatMessage("user", (text,))


def ended(ending=Ending.DONE):
    return Ended(ending, USAGE, 0.001)


class Answered(NamedTuple):
    """What a client was told in the end: the text, how it finished, and the headers."""

    text: str
    reason: str | None
    notes: dict[str, str]


class House:
    """A gateway whose engine plays *script*, and one client of it."""

    def __init__(self, script: Callable[[Turn], Any] | None = None, **settings: Any):
        self.script = script or (lambda turn: answer("Yes."))
        self.engine = ScriptedEngine(lambda turn: self.script(turn))
        self.gateway = Gateway(Settings(**settings), engine=self.engine)
        self.caller = Caller()

    def plays(self, *steps: Step):
        self.script = lambda turn: steps

    def request(self, *messages, stream=False, session_id="s", **fields):
        asked = tuple(user(one) if isinstance(one, str) else one for one in messages)
        return ChatRequest(asked, stream=stream, session_id=session_id, **fields)

    def say(self, *messages, caller=None, **fields):
        """Ask, and return what is answered; raises what the client would be told."""
        request = self.request(*messages, **fields)
        caller = caller or self.caller
        if request.stream:
            return _read(self.gateway.chat_service.stream(request, caller))
        completion = self.gateway.chat_service.complete(request, caller)
        (choice,) = completion.body["choices"]
        text = choice["message"]["content"] or ""
        return Answered(text, choice["finish_reason"], completion.notes)

    def begin(self, *messages, **fields):
        """Begin a stream that is to be closed by the test."""
        return self.gateway.chat_service.stream(self.request(*messages, **fields), self.caller)

    def remembered(self, id_="s", owner="local"):
        """Return all that was said in the session, as texts; None where there is none."""
        session = self.gateway.sessions._store.read(owner, id_)  # type: ignore[union-attr]
        return session and [part for one in session.messages for part in one.parts]

    def free(self):
        """Say whether the session and all places can be had."""
        self.gateway.admission.admit(self.gateway.settings.max_concurrent_turns)()
        claim = self.gateway.sessions._store.claim("local", "s", 0)  # type: ignore[union-attr]
        if claim:
            claim.release()
        return claim is not None and self.engine.running == 0


def _read(stream):
    try:
        chunks = [chunk for chunk in stream.chunks if chunk]
    finally:
        stream.close()
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return Answered(text, choices[-1]["finish_reason"], stream.notes)


@pytest.fixture
def house(tmp_path):
    """Make a house with books of its own; it is closed after the test."""
    houses = []

    def make(*args, **settings):
        houses.append(House(*args, usage_db=str(tmp_path / "usage.db"), **settings))
        return houses[-1]

    yield make
    for one in houses:
        one.gateway.close()


# Turns that are remembered


@BOTH
def test_it_goes_on(house, stream):
    """Each turn is asked with all that was said before it."""
    here = house(lambda turn: answer(f"{len(turn.messages)}."))
    assert [here.say(text, stream=stream).text for text in "abc"] == ["1.", "3.", "5."]
    assert here.remembered() == ["a", "1.", "b", "3.", "c", "5."]
    texts = [message.parts for message in here.engine.turns[-1].messages]
    assert texts == [("a",), ("1.",), ("b",), ("3.",), ("c",)]
    assert here.free()


@BOTH
def test_without_a_session(house, stream):
    """Without session_id nothing was said before, and nothing is kept."""
    here = house()
    for text in "ab":
        here.say(text, session_id=None, stream=stream)
    assert [len(turn.messages) for turn in here.engine.turns] == [1, 1]
    assert here.gateway.sessions.heads(LOCAL) == []


@BOTH
def test_what_may_change(house, stream):
    """Model, sampling, system prompt and functions may be others in each turn."""
    here = house()
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


@BOTH
def test_functions(house, stream):
    """A call is remembered, so that the next turn need only bring its result."""
    here = house()
    here.plays(*CALLED)
    functions = (Function("f", {"type": "object"}),)
    assert here.say("a", functions=functions, stream=stream).reason == "tool_calls"
    here.plays(*answer("Done."))
    here.say(ChatMessage("tool", ("1",), "c1"), functions=functions, stream=stream)
    assert [message.role for message in here.engine.turns[-1].messages] == [
        *("user", "assistant", "user")
    ]


@BOTH
def test_a_call_that_is_not_answered(house, stream):
    """With STRICT_PARAMS a turn that passes over a call of the session is refused."""
    here = house(strict_params=True)
    here.plays(*CALLED)
    functions = (Function("f", {"type": "object"}),)
    here.say("a", functions=functions, stream=stream)
    before = here.remembered()
    with pytest.raises(InvalidRequest, match=r"in the session.*c1"):
        here.say("b", functions=functions, stream=stream)
    assert here.remembered() == before
    assert here.free()


def test_remembered_before_it_is_told(house):
    """A turn is remembered by the time that a client is told of its end."""
    here = house()
    stream = here.begin("a", stream=True)
    for chunk in stream.chunks:
        done = chunk and chunk["choices"][0]["finish_reason"]
        assert (here.remembered() is not None) == bool(done)
    stream.close()
    assert here.remembered() == ["a", "Yes."]


def test_a_stream_that_is_closed_after_its_end(house):
    """A client that leaves after the last chunk was told of a turn that is remembered."""
    here = house()
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


@BOTH
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(("kind", "steps"), FAILURES)
def test_failures(house, kind, steps, begun, stream):
    """A turn that fails, at its start or in its middle, leaves the session as it was."""
    here = house()
    before = before_it(here) if begun else None
    here.plays(*steps)
    with pytest.raises(kind):
        here.say("a", stream=stream)
    assert here.remembered() == before
    assert here.free()
    here.plays(*answer("Again."))
    assert here.say("a", stream=stream).text == "Again."


@BOTH
def test_crashes(house, stream):
    """An error that nobody foresaw leaves the session as it was, and free."""
    here = house()
    before = before_it(here)
    here.plays(Started("m"), TextDelta("half"), KeyError("x"))
    with pytest.raises(KeyError):
        here.say("a", stream=stream)
    assert here.remembered() == before
    assert here.free()


@BOTH
def test_refused_by_the_model(house, stream):
    """A turn that the model refused is told, and not remembered: all later ones would be too."""
    here = house()
    before = before_it(here)
    here.plays(Started("m"), TextDelta("No."), ended(Ending.REFUSED))
    assert here.say("a", stream=stream).reason == "content_filter"
    assert here.remembered() == before
    assert here.free()


@BOTH
@pytest.mark.parametrize("session_id", ["s", None])
def test_an_answer_in_another_shape(house, session_id, stream):
    """An answer that does not fit its shape ends in an error, and is not remembered."""
    here = house()
    before = before_it(here)
    here.plays(*answer('{"a": "one"}'))
    with pytest.raises(BadAnswer, match="'number'"):
        here.say("a", output_schema=SHAPE, session_id=session_id, stream=stream)
    assert here.remembered() == before
    assert here.free()
    here.plays(*answer('{"a": 1}'))
    told = here.say("a", output_schema=SHAPE, session_id=session_id, stream=stream)
    assert (told.text, told.reason) == ('{"a": 1}', "stop")


def test_a_stream_in_another_shape(house):
    """A stream whose answer does not fit its shape ends in the error, and tells of no end."""
    here = house()
    here.plays(*answer("one"))
    stream = here.begin("a", stream=True, output_schema=SHAPE)
    chunks = []
    with pytest.raises(BadAnswer):
        chunks.extend(stream.chunks)
    stream.close()
    assert all(choice["finish_reason"] is None for one in chunks for choice in one["choices"])


@BOTH
def test_a_call_with_odd_arguments(house, stream):
    """A session goes on from any call, also from one whose arguments are no JSON object."""
    here = house()
    here.plays(Started("m"), CallStarted(0, "c", "f"), CallDelta(0, "{"), ended(Ending.CALLS))
    assert here.say("a", stream=stream).reason == "tool_calls"
    here.plays(*answer("Done."))
    here.say(ChatMessage("tool", ("1",), "c"), stream=stream)
    _, called, _ = here.engine.turns[-1].messages
    assert called.parts == (ToolCall("c", "f", '{"INVALID_JSON": "{"}'),)


@pytest.mark.parametrize("read", [0, 1, 2, 3])
def test_a_client_that_leaves_a_stream(house, read):
    """What a client had been sent when it left is not remembered as said."""
    here = house()
    before = before_it(here)
    here.plays(Started("m"), TextDelta("half"), TextDelta(" of it"), LONG, ended())
    stream = here.begin("a", stream=True)
    for _ in range(read):
        next(stream.chunks)
    stream.close()
    assert here.remembered() == before
    assert here.free()


def test_a_client_that_is_gone(house):
    """A client that is seen to have left is answered no more, and nothing is remembered."""
    here = house()
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


def test_what_an_abandoned_turn_used_is_booked(house):
    """What a turn that was cut off has used is booked, though nothing of it is remembered."""
    here = house()
    here.caller = Caller(Principal("local", usd_per_day=0.4))
    here.engine._last = [Used({"m": Spent(USAGE, 0.5)}), ended(Ending.ABANDONED)]
    here.plays(Started("m"), TextDelta("half"), LONG)
    stream = here.begin("a", stream=True)
    next(stream.chunks)
    stream.close()
    assert here.remembered() is None
    with pytest.raises(QuotaExceeded):
        here.say("b")


@BOTH
def test_deleted_meanwhile(house, stream):
    """A turn whose session is deleted meanwhile is told, and leaves none."""
    here = house()
    before_it(here)

    def steps(turn):
        yield from answer("Yes.")[:-1]
        here.gateway.sessions.delete(LOCAL, "s")
        yield ended()

    here.script = steps
    with pytest.raises(Conflict, match="deleted"):
        here.say("a", stream=stream)
    assert here.remembered() is None
    assert here.free()


# Turns that do not begin


@BOTH
def test_busy(house, stream):
    """A turn that waits too long for another one of its session gives its place back."""
    here = house(session_wait=0)
    first = here.begin("a", stream=True)
    with pytest.raises(Conflict) as caught:
        here.say("b", stream=stream)
    assert caught.value.retry is False
    assert here.say("c", session_id="t", stream=stream).text == "Yes."
    assert _read(first).text == "Yes."
    assert here.remembered() == ["a", "Yes."]
    assert here.free()


@BOTH
def test_too_large(house, stream):
    """A session that would be too large gives place and session back, and stays as it was."""
    here = house(session_max_bytes=300)
    before = before_it(here)
    with pytest.raises(RequestTooLarge):
        here.say("x" * 300, stream=stream)
    assert here.remembered() == before
    assert here.free()


@BOTH
def test_no_place(house, stream):
    """Where no place is free the session is not waited for."""
    here = house(max_queue=0)
    release = here.gateway.admission.admit(here.gateway.settings.max_concurrent_turns)
    with pytest.raises(RateLimited):
        here.say("a", stream=stream)
    release()
    assert here.free()


@BOTH
def test_a_store_that_cannot_be_reached(house, stream, monkeypatch):
    """A store that fails takes no place with it, and requests without a session go on."""
    here = house()

    def fail(*_):
        raise Unavailable("The store is away.")

    monkeypatch.setattr(here.gateway.sessions._store, "claim", fail)
    with pytest.raises(Unavailable):
        here.say("a", stream=stream)
    assert here.say("a", session_id=None, stream=stream).text == "Yes."
    monkeypatch.undo()
    assert here.free()


@BOTH
@pytest.mark.parametrize(
    ("caller", "error"),
    [
        (Principal("local", requests_per_minute=1), RateLimited),
        (Principal("local", usd_per_day=0.0005), QuotaExceeded),
    ],
)
def test_over_the_limit(house, caller, error, stream):
    """A caller that may ask no more gives place and session back."""
    here = house()
    here.say("a", caller=Caller(caller))
    before = here.remembered()
    with pytest.raises(error):
        here.say("b", caller=Caller(caller), stream=stream)
    assert here.remembered() == before
    assert here.free()


@BOTH
def test_messages_that_cannot_follow(house, stream):
    """Messages that STRICT_PARAMS refuses after what was said give place and session back."""
    here = house(strict_params=True)
    before = before_it(here)
    with pytest.raises(InvalidRequest) as caught:
        here.say(ChatMessage("tool", ("1",), "c9"), stream=stream)
    assert caught.value.param == "messages.0.tool_call_id"
    assert here.remembered() == before
    assert here.free()


def fail(*_):
    raise RuntimeError("a fault of our own")


@BOTH
def test_faults_at_the_start(house, stream, monkeypatch):
    """A fault just before a turn begins gives place and session back."""
    here = house()
    monkeypatch.setattr(here.gateway.chat_service._rates, "headers", fail)
    with pytest.raises(RuntimeError):
        here.say("a", stream=stream)
    assert here.free()


@BOTH
def test_faults_at_the_end(house, stream, monkeypatch):
    """A fault while a turn is ended gives place and session back, too."""
    here = house()
    monkeypatch.setattr("wrapper.services.turns.usage_recorder.UsageRecorder.close", fail)
    with pytest.raises(RuntimeError):
        here.say("a", stream=stream)
    assert here.free()


# What is asked for again


@BOTH
def test_retries(house, stream):
    """What a client asks for again is answered as before, without a turn, and is marked as that."""
    here = house()
    first = here.say("a", stream=stream)
    again = here.say("a", stream=stream, caller=Caller(again=True))
    assert (again.text, again.reason) == (first.text, first.reason)
    assert again.notes["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.notes
    assert len(here.engine.turns) == 1
    assert here.remembered() == ["a", "Yes."]
    assert here.free()


@BOTH
def test_retries_of_what_failed(house, stream):
    """What a client asks for again as it failed is answered for the first time."""
    here = house()
    here.plays(Overloaded("Busy."))
    with pytest.raises(Overloaded):
        here.say("a", stream=stream)
    here.plays(*answer("Now."))
    told = here.say("a", stream=stream, caller=Caller(again=True))
    assert (told.text, "idempotent-replayed" in told.notes) == ("Now.", False)


@BOTH
def test_retries_are_not_booked(house, stream):
    """An answer that is told again costs nothing."""
    here = house()
    caller = Caller(Principal("again", usd_per_day=0.0015))
    here.say("a", caller=caller, stream=stream)
    for _ in range(3):
        here.say("a", caller=replace(caller, again=True), stream=stream)
    assert here.say("b", caller=caller, stream=stream).text == "Yes."


def test_a_retry_waits_for_the_first_attempt(house):
    """A retry that comes while the first attempt still runs is answered once that is done."""
    here = house()
    first = here.begin("a", stream=True)
    told = []
    retry = threading.Thread(target=lambda: told.append(here.say("a", caller=Caller(again=True))))
    retry.start()
    assert _read(first).text == "Yes."
    retry.join(20)
    assert [one.notes.get("idempotent-replayed") for one in told] == ["true"]
    assert len(here.engine.turns) == 1


# What the requests before have set


@BOTH
@pytest.mark.parametrize(
    "first",
    [
        {"functions": (Function("f", {}),)},
        {"output_schema": SHAPE},
        {"profile": "plain"},
        {"caller": Caller(replace(LOCAL, profile="plain"))},
    ],
)
def test_a_plain_session_stays_plain(house, stream, first):
    """A session that has once been plain gives no request an agent that does not ask for one."""
    here = house(lambda turn: answer('{"a": 1}'))
    here.say("a", stream=stream, **first)
    here.say("b", stream=stream)
    here.say("c", stream=stream, profile="agent")
    here.say("d", stream=stream)
    assert [turn.profile for turn in here.engine.turns] == ["plain", "plain", "agent", "plain"]


@BOTH
def test_calls_in_a_session(house, stream):
    """The result of a call, brought without its function, makes no agent; nor does what follows."""
    here = house()
    here.plays(Started("m"), CallStarted(0, "c", "f"), CallDelta(0, "{}"), ended(Ending.CALLS))
    here.say("a", stream=stream, functions=(Function("f", {}),))
    here.plays(*answer("Yes."))
    here.say(ChatMessage("tool", ("42",), "c"), stream=stream)
    here.say("b", stream=stream)
    assert {turn.profile for turn in here.engine.turns} == {"plain"}


def test_calls_of_a_session_that_was_agents(house):
    """Calls that a client tells of in an agent's session make it plain from there on."""
    here = house()
    here.say("a")
    told = (
        ChatMessage("assistant", (ToolCall("c", "f", "{}"),)),
        ChatMessage("tool", ("42",), "c"),
    )
    here.say("b", *told)
    here.say("c")
    assert [turn.profile for turn in here.engine.turns] == ["agent", "plain", "plain"]


@BOTH
def test_an_agent_that_was_narrowed(house, stream):
    """What an agent may not do from its session's beginning holds for requests that do not say."""
    here = house()
    narrow = {"allowed_tools": ("Read", "Bash"), "disallowed_tools": ("Bash(rm:*)",)}
    here.say("a", stream=stream, permission_mode="plan", max_turns=2, **narrow)
    here.say("b", stream=stream, permission_mode="default")
    here.say("c", stream=stream)
    first, second, third = here.engine.turns
    assert [turn.permissions.mode for turn in here.engine.turns] == ["plan", "default", "plan"]
    assert first.permissions.deny == second.permissions.deny == third.permissions.deny


def test_a_session_keeps_its_model(house):
    """A request that names no model runs that of its session, also where the default is denied."""
    here = house()
    caller = Caller(replace(LOCAL, models=("haiku",)))
    here.say("a", caller=caller, model="haiku")
    here.say("b", caller=caller)
    assert [turn.model for turn in here.engine.turns] == ["haiku", "haiku"]


def test_a_failed_turn_sets_nothing(house):
    """A turn that is not remembered leaves its session's options as they were."""
    here = house()
    here.say("a")
    here.plays(Overloaded("Busy."))
    with pytest.raises(Overloaded):
        here.say("b", profile="plain", model="haiku")
    here.plays(*answer("Yes."))
    here.say("c")
    assert (here.engine.turns[-1].profile, here.engine.turns[-1].model) == ("agent", "sonnet")
