"""The correction: what a model cannot be made to do it is asked for, twice at most, and checked."""

import asyncio
import json
from contextlib import aclosing

import pytest

from tests.support.costly_schemas import COSTLY
from tests.support.scripted_server import ScriptedServer, error_of
from tests.support.turn_harness import TurnHarness
from wrapper.errors import Overloaded
from wrapper.routes.headers import note_headers
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Compacted,
    Ended,
    Ending,
    Noted,
    ReasoningDelta,
    Started,
    TextDelta,
    Thought,
    ToolUse,
    Unfit,
    Used,
)
from wrapper.services.principal import Caller, Principal
from wrapper.services.spent import Spent, Usage
from wrapper.services.turn import (
    Function,
    Message,
    OutputSchema,
    Reminder,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from wrapper.services.turns.correction import Correction
from wrapper.testing.engine import ScriptedEngine

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
F, G = Function("f", {"type": "object"}), Function("g", {"type": "object"})
ONE = ToolChoice("one", "f", forced=False)
ANY = ToolChoice("any", forced=False)
STRICT = OutputSchema("number", SCHEMA, forced=False, strict=True)
LENIENT = OutputSchema("number", SCHEMA, forced=False)
RETRIED, UNMET = "x-retried-params", "x-unmet-params"


def turn(text="Hi", **fields):
    return Turn("m", (Message("user", (text,)),), **{"profile": "plain", **fields})


def used(tokens=2, requests=1):
    return Used({"m": Spent(Usage(input=3, output=tokens), 0.5)}, requests)


def ended(ending=Ending.DONE, tokens=2):
    return Ended(ending, Usage(input=3, output=tokens), 0.5)


def said(*texts, ending=Ending.DONE):
    return [Started("m"), *map(TextDelta, texts), used(), ended(ending)]


def called(*names, before=()):
    calls = [
        event
        for index, name in enumerate(names)
        for event in (CallStarted(index, f"id{index}", name), CallDelta(index, '{"x": 1}'))
    ]
    return [Started("m"), *map(TextDelta, before), *calls, used(), ended(Ending.CALLS)]


class Played:
    """What comes of a turn whose attempts are answered with *scripts*, one after another."""

    def __init__(self, asked, *scripts, streams=False, retries=True):
        left = list(scripts)
        self.engine = ScriptedEngine(lambda turn: left.pop(0))
        self.events, self.error = [], None
        correcting = Correction(self.engine, "tool_choice", streams, retries)
        asyncio.run(self._play(correcting, asked))

    async def _play(self, correcting, asked):
        try:
            async with aclosing(correcting.run(asked, asyncio.Event())) as events:
                async for event in events:
                    self.events.append(event)
        except Exception as error:
            self.error = error

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def text(self):
        return "".join(event.text for event in self.of(TextDelta))

    @property
    def calls(self):
        return [(event.index, event.name) for event in self.of(CallStarted)]

    @property
    def notes(self):
        return [item for event in self.of(Noted) for item in note_headers(event.notes).items()]


def test_nothing_is_demanded():
    """A turn without demands is the engine's, event by event."""
    events = said("Hel", "lo")
    assert Played(turn(functions=(F,)), events, streams=True).events == events


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("tool_choice", [ONE, ANY])
def test_a_call_that_was_asked_for(tool_choice, streams):
    """A model that calls is asked once, and its call comes as it is."""
    events = called("f", before=("Well.",))
    played = Played(turn(functions=(F, G), tool_choice=tool_choice), events, streams=streams)
    assert played.events == events
    assert len(played.engine.turns) == 1


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("tool_choice", [ONE, ANY])
def test_asked_once_more(tool_choice, streams):
    """A model that only talks is asked once more: the second answer is told, both are counted."""
    asked = turn(functions=(F, G), tool_choice=tool_choice)
    played = Played(asked, said("I'd rather not."), called("f"), streams=streams)
    assert (played.text, played.calls) == ("", [(0, "f")])
    assert played.notes == [(RETRIED, "tool_choice")]
    assert [type(event) for event in played.events].count(Started) == 1
    assert played.of(Used)[-1] == Used({"m": Spent(Usage(input=6, output=4), 1.0)}, 2)
    assert played.events[-1] == Ended(Ending.CALLS, Usage(input=6, output=4), 1.0)
    first, second = played.engine.turns
    assert second.messages[:2] == (*first.messages, Message("assistant", ("I'd rather not.",)))
    (reminder,) = second.messages[2].parts
    assert isinstance(reminder, Reminder)
    assert " f" in reminder


def test_a_blank_answer_is_no_message():
    """What the model has not said is not sent back to it: the user's message says it all."""
    played = Played(turn(functions=(F,), tool_choice=ONE), said(" "), called("f"))
    (message,) = played.engine.turns[1].messages
    assert (message.role, message.parts[0], len(message.parts)) == ("user", "Hi", 2)


@pytest.mark.parametrize("streams", [False, True])
def test_another_function(streams):
    """A call of another function than the one demanded is answered as not run, and not told."""
    asked = turn(functions=(F, G), tool_choice=ONE)
    played = Played(asked, called("g"), called("g", "f"), streams=streams)
    assert played.calls == [(0, "f")]
    assert [event.index for event in played.of(CallDelta)] == [0]
    _, answer, reply = played.engine.turns[1].messages
    assert answer.parts == (ToolCall("id0", "g", '{"x": 1}'),)
    assert reply.parts[0] == ToolResult("id0", ("This call was not run.",))


@pytest.mark.parametrize("streams", [False, True])
def test_giving_up(streams):
    """A model that will not call has its last answer passed on, and the client is told so."""
    asked = turn(functions=(F,), tool_choice=ANY)
    played = Played(asked, said("No."), said("Still ", "no."), streams=streams)
    assert played.text == "Still no."
    assert played.notes == [(RETRIED, "tool_choice"), (UNMET, "tool_choice")]
    assert played.events[-1].usage == Usage(input=6, output=4)
    assert len(played.engine.turns) == 2


def test_giving_up_on_another_function():
    """Where only other functions are called, these calls are the answer."""
    played = Played(turn(functions=(F, G), tool_choice=ONE), called("g"), called("g"))
    assert (played.calls, played.notes[-1]) == ([(0, "g")], (UNMET, "tool_choice"))
    assert played.events[-1].ending is Ending.CALLS


@pytest.mark.parametrize("parallel", [True, False])
def test_parallel_calls(parallel):
    """Where calls must not be parallel only the first one is passed on."""
    asked = turn(functions=(F, G), tool_choice=ToolChoice(parallel=parallel))
    played = Played(asked, called("f", "g", "f"), streams=True)
    assert len(played.calls) == len(played.of(CallDelta)) == (3 if parallel else 1)
    assert played.notes == ([] if parallel else [("x-adapted-params", "parallel_tool_calls")])


@pytest.mark.parametrize("ending", [Ending.LENGTH, Ending.REFUSED, Ending.ABANDONED])
@pytest.mark.parametrize("asked", [{"tool_choice": ANY}, {"output_schema": STRICT}])
def test_answers_that_are_cut_short(asked, ending):
    """What was cut short, refused or abandoned is told as it is."""
    played = Played(turn(functions=(F,), **asked), said("W", "ell", ending=ending), streams=True)
    assert (played.text, played.notes, played.events[-1].ending) == ("Well", [], ending)


@pytest.mark.parametrize("retries", [True, False])
def test_who_may_not_ask_again(retries):
    """Where a further request is not allowed the first answer is the last one."""
    asked = turn(functions=(F,), tool_choice=ANY, may_go_on=lambda: not retries)
    played = Played(asked, said("No."), retries=retries)
    assert (played.text, played.notes) == ("No.", [(UNMET, "tool_choice")])


def test_tools_are_not_used_twice():
    """An agent that has used tools is not asked again, since it would use them again."""
    events = [Started("m"), ToolUse("Bash", "{}"), TextDelta("Done."), used(), ended()]
    played = Played(turn(functions=(F,), tool_choice=ANY, profile="agent"), events)
    assert (played.text, played.notes) == ("Done.", [(UNMET, "tool_choice")])


def test_the_second_request_fails():
    """Where the second request fails the first answer is told, with what both have used."""
    asked = turn(functions=(F,), tool_choice=ANY)
    played = Played(asked, said("No."), [used(5), Overloaded("full")])
    assert played.error is None
    assert played.text == "No."
    assert played.notes == [(RETRIED, "tool_choice"), (UNMET, "tool_choice")]
    assert played.events[-1].usage == Usage(input=6, output=7)


def test_the_second_request_fails_late():
    """A failure after the call has begun is the turn's."""
    failing = [*called("f")[:2], Overloaded("full")]
    played = Played(turn(functions=(F,), tool_choice=ANY), said("No."), failing, streams=True)
    assert isinstance(played.error, Overloaded)


def test_thoughts_are_not_held_back():
    """Thoughts are told at once, also while a call is awaited."""
    events = [Started("m"), ReasoningDelta("Hm"), *said("No.")[1:]]
    played = Played(turn(functions=(F,), tool_choice=ANY), events, called("f"), streams=True)
    assert played.events[1] == ReasoningDelta("Hm")


def test_thinking_is_sent_along():
    """The second request has the thinking before the calls of the first answer, unchanged."""
    first = called("g", before=["Well."])
    first[1:1] = [Thought("Hm", "s", "p")]
    played = Played(turn(functions=(F, G), tool_choice=ONE), first, called("f"))
    answer = played.engine.turns[1].messages[1]
    assert answer.parts == (Thinking("Hm", "s", "p"), "Well.", ToolCall("id0", "g", '{"x": 1}'))


def test_thinking_without_calls_is_not_sent_along():
    """The API needs no thinking of an answer without calls."""
    first = [Started("m"), Thought("Hm", "s", "p"), *said("No.")[1:]]
    played = Played(turn(functions=(F,), tool_choice=ANY), first, called("f"))
    assert played.engine.turns[1].messages[1].parts == ("No.",)


@pytest.mark.parametrize("streams", [False, True])
def test_thinking_keeps_its_place(streams):
    """Thinking that follows a text which is held back is held back with it."""
    thought = Thought("Hm", "s", "p")
    events = called("f", before=["Well."])
    events[2:2] = [thought]
    played = Played(turn(functions=(F,), tool_choice=ANY), events, streams=streams)
    order = [event for event in played.events if isinstance(event, (TextDelta, Thought))]
    assert order == [TextDelta("Well."), thought]


def test_what_was_summarised_is_not_summarised_again():
    """The second request goes on from the summary that the first one came to."""
    summary = (Message("user", ("In short", "Hi")),)
    asked = turn(functions=(F,), tool_choice=ANY, compacts=True)
    played = Played(asked, [Compacted(summary), *said("No.")], called("f"))
    second = played.engine.turns[1]
    assert (second.messages[0], second.compacts) == (summary[0], False)
    assert played.of(Compacted) == [Compacted(summary)]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("output_schema", [STRICT, LENIENT])
@pytest.mark.parametrize(
    "text", ['{"a": 1}', ' \n{"a": 1}', '```json\n{"a": 1}\n```', '\n```\n{"a": 1}\n```\n']
)
def test_fences(text, output_schema, streams):
    """A code fence and white space around an answer in a shape are taken away."""
    pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
    played = Played(turn(output_schema=output_schema), said(*pieces), streams=streams)
    assert (played.text.strip(), played.notes) == ('{"a": 1}', [])
    assert played.text == played.text.lstrip()
    assert not played.of(Unfit)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("output_schema", "first"), [(STRICT, '{"a": "x"}'), (STRICT, "One."), (LENIENT, "One.")]
)
def test_a_shape_asked_for_once_more(output_schema, first, streams):
    """A strict shape is asked for again where the answer does not fit, any where it is no JSON."""
    played = Played(
        turn(output_schema=output_schema), said(first), said('{"a": 1}'), streams=streams
    )
    assert (played.text, played.notes) == ('{"a": 1}', [(RETRIED, "response_format")])
    assert played.events[-1].usage == Usage(input=6, output=4)
    _, answer, reply = played.engine.turns[1].messages
    assert answer.parts == (first,)
    assert ("JSON" if first == "One." else "integer") in str(reply.parts[0])


@pytest.mark.parametrize("retries", [True, False])
@pytest.mark.parametrize("output_schema", [STRICT, LENIENT])
def test_no_answer_in_shape(output_schema, retries):
    """An answer that is no JSON, also when it is asked for again, is an error for the client."""
    played = Played(turn(output_schema=output_schema), said("One."), said("Two."), retries=retries)
    (unfit,) = played.of(Unfit)
    assert "'number'" in unfit.error.message
    assert unfit.error.retry is False
    assert len(played.engine.turns) == 1 + retries
    assert played.events[-1].ending is Ending.DONE


@pytest.mark.parametrize("streams", [False, True])
def test_json_that_does_not_match(streams):
    """JSON that does not match a schema that is not strict is passed on, and the client is told."""
    played = Played(turn(output_schema=LENIENT), said('{"a": ', '"x"}'), streams=streams)
    assert (played.text, played.notes) == ('{"a": "x"}', [(UNMET, "response_format")])
    assert len(played.of(TextDelta)) == (2 if streams else 1)


def test_a_call_in_place_of_the_answer():
    """Where functions may be called first a call is passed on, and no shape is looked for."""
    played = Played(turn(output_schema=STRICT, functions=(F,)), called("f"), streams=True)
    assert (played.calls, played.notes, played.of(Unfit)) == ([(0, "f")], [], [])


def test_an_agent_is_not_asked_for_its_shape():
    """Claude Code asks an agent again by itself."""
    played = Played(turn(output_schema=STRICT, profile="agent"), said("One."))
    assert len(played.of(Unfit)) == len(played.engine.turns) == 1


TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
NAMED = {"type": "function", "function": {"name": "f"}}
ALLOWED = {
    "type": "allowed_tools",
    "allowed_tools": {"mode": "required", "tools": [NAMED]},
}
THINKS = "claude-opus-5-5"


def serve(*scripts, **settings):
    left = list(scripts)
    return ScriptedServer(script=lambda turn: left.pop(0), **settings)


FORMS = [
    {"tools": TOOLS, "tool_choice": "required"},
    {"tools": TOOLS, "tool_choice": NAMED},
    {"tools": TOOLS, "tool_choice": ALLOWED},
    {"functions": [{"name": "f"}], "function_call": {"name": "f"}},
]


@pytest.mark.parametrize("profile", ["plain", "agent"])
@pytest.mark.parametrize("form", FORMS)
def test_forms(form, profile):
    """Each form of a demand is put in words, named, met in a second request, and counted."""
    server = serve(said("No."), called("f"))
    response = server.ask(model=THINKS, claude={"profile": profile}, **form)
    param = "function_call" if "function_call" in form else "tool_choice"
    assert response.headers["x-adapted-params"] == response.headers["x-retried-params"] == param
    assert "x-ignored-params" not in response.headers
    choice = response.json["choices"][0]
    assert choice["finish_reason"] == (
        "function_call" if param == "function_call" else "tool_calls"
    )
    assert choice["message"]["content"] is None
    assert response.json["usage"]["total_tokens"] == 10
    assert float(response.headers["x-cost-usd"]) == 1
    *_, reminder = server.engine.turns[0].messages[-1].parts
    assert isinstance(reminder, Reminder)
    assert " f" in reminder


def test_streamed_notes():
    """A stream tells in its last chunk that the model was asked once more, and that it was vain."""
    frames = serve(said("No."), said("No!")).stream(
        model=THINKS, tools=TOOLS, tool_choice="required"
    )
    last = frames[-2]
    assert last["notes"] == {RETRIED: "tool_choice", UNMET: "tool_choice"}
    assert last["choices"][0]["finish_reason"] == "stop"
    assert all("notes" not in frame for frame in frames[:-2])


def test_turned_off():
    """RETRY_BAD_ANSWERS=false leaves it at one request."""
    server = serve(said("No."), retry_bad_answers=False)
    response = server.ask(model=THINKS, tools=TOOLS, tool_choice="required")
    assert (response.headers[UNMET], RETRIED in response.headers) == ("tool_choice", False)


def test_strict_params():
    """Under STRICT_PARAMS a demand that cannot be enforced is refused."""
    fields = {"model": THINKS, "tools": TOOLS, "tool_choice": "required"}
    assert error_of(ScriptedServer(strict_params=True).ask(**fields), 400)["param"] == "tool_choice"


def test_a_spent_budget(tmp_path):
    """Who has spent the budget on the first answer is not asked for more."""
    harness = TurnHarness(lambda turn: said("No."), usage_db=str(tmp_path / "usage.db"))
    harness.caller = Caller(Principal("local", usd_per_day=0.4))
    fields = {
        "functions": (F,),
        "tool_choice": ToolChoice("any"),
        "model": THINKS,
        "session_id": None,
    }
    assert harness.say("Hi", **fields).notes[UNMET] == "tool_choice"
    assert len(harness.engine.turns) == 1


@pytest.mark.parametrize("strict", [True, False])
def test_response_format(strict):
    """Only a strict format is asked for again; a 502 says that it was in vain."""
    output_schema = {"name": "number", "schema": SCHEMA, "strict": strict}
    fields = {
        "response_format": {"type": "json_schema", "json_schema": output_schema},
        "model": THINKS,
    }
    bad = said('{"a": "x"}')
    if strict:
        response = serve(bad, bad).ask(**fields)
        assert response.headers[RETRIED] == "response_format"
        error = error_of(response, 502)
        assert "'number'" in error["message"]
        response = serve(bad, said('{"a": 1}')).ask(**fields)
        assert response.headers[RETRIED] == "response_format"
        assert json.loads(response.json["choices"][0]["message"]["content"]) == {"a": 1}
    else:
        response = serve(bad).ask(**fields)
        assert (response.status_code, response.headers[UNMET]) == (200, "response_format")


def test_json_mode():
    """JSON mode is content with any JSON, and asks once more for what is none."""
    fields = {"response_format": {"type": "json_object"}, "model": THINKS}
    response = serve(said("[1]")).ask(**fields)
    assert (response.status_code, response.headers[UNMET]) == (200, "response_format")
    response = serve(said("One."), said('```json\n{"a": 1}\n```')).ask(**fields)
    assert response.json["choices"][0]["message"]["content"] == '{"a": 1}'


def test_several_answers():
    """Each of several answers is looked at by itself; what became of any is told."""
    server = ScriptedServer(
        script=lambda turn: called("f") if len(turn.messages) > 1 else said("No.")
    )
    response = server.ask(model=THINKS, tools=TOOLS, tool_choice="required", n=2)
    assert [c["finish_reason"] for c in response.json["choices"]] == ["tool_calls"] * 2
    assert response.headers[RETRIED] == "tool_choice"


def test_a_session_knows_nothing_of_it():
    """A session remembers the user's own words and the last answer."""
    server = serve(said("No."), called("f"), said("Fine."))
    more = {"model": THINKS, "tools": TOOLS, "session_id": "s"}
    server.ask(tool_choice="required", **more)
    result = [{"role": "tool", "tool_call_id": "id0", "content": "1"}]
    server.ask(messages=result, **more)
    first, answer, _ = server.engine.turns[2].messages
    assert not [part for part in first.parts if isinstance(part, Reminder)]
    assert answer.parts == (ToolCall("id0", "f", '{"x": 1}'),)


UNION = {"anyOf": [{"required": ["a"]}, {"required": ["x"], "properties": {"x": {"const": 2}}}]}
LOOSE = Function("f", {"type": "object"}, original=UNION)
KEPT = Function("f", {"type": "object"}, original=UNION, strict=True)
SLOW, SLOWLY_CHECKED = COSTLY[0]
EXACT = Function("f", {"type": "object", "properties": {"x": {"const": 2}}}, strict=True)


def calling(*arguments):
    calls = [
        event
        for index, text in enumerate(arguments)
        for event in (CallStarted(index, f"id{index}", "f"), CallDelta(index, text))
    ]
    return [Started("m"), *calls, used(), ended(Ending.CALLS)]


@pytest.mark.parametrize(
    ("arguments", "notes"),
    [('{"a": 1}', []), ('{"x": 2}', []), ('{"x": 1}', [(UNMET, "tools")])],
)
@pytest.mark.parametrize("streams", [False, True])
def test_arguments(streams, arguments, notes):
    """Arguments that the original schema does not accept are passed on, and named."""
    played = Played(turn(functions=(LOOSE, G)), calling(arguments), streams=streams)
    assert played.of(CallDelta) == [CallDelta(0, arguments)]
    assert played.notes == notes
    assert played.events[-1] == ended(Ending.CALLS)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("function", [KEPT, EXACT], ids=["folded", "as written"])
def test_strict_arguments(streams, function):
    """A strict function is called once more where the arguments do not match its schema."""
    first, second = calling('{"a": 1}', '{"x": 1}'), calling('{"x": 2}')
    played = Played(turn(functions=(function,)), first, second, streams=streams)
    assert played.of(CallDelta) == [CallDelta(0, '{"x": 2}')]
    assert played.calls == [(0, "f")]
    assert played.notes == [(RETRIED, "tools")]
    said_again = played.engine.turns[1].messages
    assert said_again[1].parts == (
        ToolCall("id0", "f", '{"a": 1}'),
        ToolCall("id1", "f", '{"x": 1}'),
    )
    assert "the arguments of f do not match its JSON Schema: " in str(said_again[2].parts[-1])


@pytest.mark.parametrize("function", [KEPT, EXACT], ids=["folded", "as written"])
def test_strict_arguments_that_never_match(function):
    """After a second call that does not match either the client gets that one, and is told."""
    played = Played(turn(functions=(function,)), calling('{"x": 1}'), calling('{"x": 3}'))
    assert played.of(CallDelta) == [CallDelta(0, '{"x": 3}')]
    assert played.notes == [(RETRIED, "tools"), (UNMET, "tools")]


@pytest.mark.parametrize("arguments", ["{", '{"a": ' + "[" * 1000 + "]" * 1000 + "}"])
def test_strict_arguments_that_are_not_sent_back(arguments):
    """A call that the API would not take back is left out where the model is asked once more."""
    asked = turn(functions=(KEPT,))
    played = Played(asked, calling(arguments), calling('{"x": 2}'))
    assert (played.error, played.of(CallDelta)) == (None, [CallDelta(0, '{"x": 2}')])
    parts = [part for message in played.engine.turns[1].messages for part in message.parts]
    assert not any(isinstance(part, ToolCall) for part in parts)


def test_strict_arguments_behind_another_call():
    """A call of another function than the demanded one is not passed on beside it."""
    events = [Started("m"), CallStarted(0, "i", "g"), CallDelta(0, "{}")]
    events += [CallStarted(1, "j", "f"), CallDelta(1, '{"a": 1}'), used(), ended(Ending.CALLS)]
    asked = turn(functions=(KEPT, G), tool_choice=ToolChoice("one", "f"))
    assert Played(asked, events).calls == [(0, "f")]


def test_strict_arguments_after_streamed_words():
    """A stream keeps what was said before a call whose arguments are asked for again."""
    first, second = calling('{"x": 1}'), calling('{"x": 2}')
    first.insert(1, TextDelta("Let me see."))
    second.insert(1, TextDelta("Sorry."))
    played = Played(turn(functions=(KEPT,)), first, second, streams=True)
    assert played.text == "Let me see."
    assert played.of(CallDelta) == [CallDelta(0, '{"x": 2}')]


def test_words_in_place_of_strict_arguments():
    """Where the model then answers in words, these follow those that were streamed before."""
    first = calling('{"x": 1}')
    first.insert(1, TextDelta("Let me see."))
    played = Played(turn(functions=(KEPT,)), first, said("I", " cannot."), streams=True)
    assert (played.text, played.calls) == ("Let me see.\n\nI cannot.", [])


@pytest.mark.parametrize(
    "function",
    [
        Function("f", SLOW, strict=True),
        Function("f", {"type": "object"}, original=SLOW, strict=True),
    ],
    ids=["as written", "folded"],
)
def test_strict_arguments_that_are_not_checked(function):
    """Where the check does not end the call is passed on, and named."""
    played = Played(turn(functions=(function,)), calling(SLOWLY_CHECKED))
    assert played.of(CallDelta) == [CallDelta(0, SLOWLY_CHECKED)]
    assert played.notes == [(UNMET, "tools")]


POINT = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
WRITTEN = {True: '{"x": 1}', False: '{"x": "1"}'}
SPELLINGS = {
    "tools": {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]},
    "functions": {"functions": [{"name": "f", "strict": True}]},
    "flat": {"tools": [{"type": "function", "name": "f", "strict": True}]},
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_strict_functions(spelling):
    """A function in each spelling is held to its schema if it is strict, and not else."""
    for strict in (True, False):
        fields = json.loads(json.dumps(SPELLINGS[spelling]))
        (told,) = fields.get("tools") or fields["functions"]
        told = told.get("function", told)
        told |= {"strict": strict, "parameters": POINT}
        server = serve(calling(WRITTEN[False]), calling(WRITTEN[True]))
        response = server.ask(**fields)
        assert response.status_code == 200, response.text
        param = "functions" if spelling == "functions" else "tools"
        assert response.headers.get(RETRIED) == (param if strict else None)
        assert UNMET not in response.headers
        assert "x-adapted-params" not in response.headers
        assert json.dumps(WRITTEN[strict]) in response.text
