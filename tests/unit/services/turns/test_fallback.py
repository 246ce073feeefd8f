"""The fallback: another model answers if a turn's own fails before it begins, and never later."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from tests.support.scripted_server import ScriptedServer, error_of
from wrapper.auth import key_editor
from wrapper.errors import (
    BadGateway,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    RateLimited,
    UpstreamFailed,
)
from wrapper.notes import NO_NOTES, Notes
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Ended,
    Ending,
    Noted,
    Started,
    TextDelta,
    Used,
)
from wrapper.services.spent import Spent, Usage
from wrapper.services.turn import (
    Approved,
    Function,
    Message,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from wrapper.services.turns.correction import Correction
from wrapper.services.turns.fallback import Fallback
from wrapper.services.turns.unknown_models import SECONDS, UnknownModels
from wrapper.testing.engine import ScriptedEngine, Step, answer

HI = (Message("user", ("Hi",)),)
FAILED = Noted(Notes(failed_models=("opus",)))
IGNORED = Notes(ignored_params=("reasoning_effort",))


def turn(*fallbacks, **fields):
    others = tuple((Turn(name, HI), IGNORED) for name in fallbacks)
    return Turn("opus", **{"messages": HI, "fallbacks": others, **fields})


def run(asked, leaving=None, unknown=None, **scripts):
    """Return the events of a turn, and the error that ends it, if one does."""
    unknown = unknown or UnknownModels()
    engine = ScriptedEngine(lambda each: scripts[each.model])
    events = []

    async def collect():
        async with aclosing(
            Fallback(engine, unknown).run(asked, leaving or asyncio.Event())
        ) as iterator:
            async for event in iterator:
                events.append(event)

    try:
        asyncio.run(collect())
    except (InvalidRequest, BadGateway, Overloaded, RateLimited, UpstreamFailed) as error:
        return events, error
    return events, None


def test_not_needed():
    """A turn whose model answers has the same events as without fallbacks."""
    assert run(turn("sonnet"), opus=answer("Hello.")) == (answer("Hello."), None)


@pytest.mark.parametrize("kind", [Overloaded, RateLimited, UpstreamFailed, ModelNotFound])
def test_needed(kind):
    """If the model fails, the next one answers; the client gets the notes on both."""
    events, error = run(turn("sonnet"), opus=[kind("no")], sonnet=answer("Hello."))
    assert events == [FAILED, Noted(IGNORED), *answer("Hello.")]
    assert error is None


def test_in_order():
    """Fallbacks are asked one after the other, and the last error is the turn's."""
    events, error = run(
        turn("sonnet", "haiku"),
        opus=[Overloaded("a")],
        sonnet=[RateLimited("b")],
        haiku=[UpstreamFailed("c")],
    )
    failed = [event.notes.failed_models for event in events if event.notes.failed_models]
    assert failed == [("opus",), ("sonnet",)]
    assert isinstance(error, UpstreamFailed)


def test_other_errors():
    """An error that every model would have, or after which much may have happened, is final."""
    for error in (InvalidRequest("no"), BadGateway("no")):
        assert run(turn("sonnet"), opus=[error], sonnet=answer("Hello.")) == ([], error)


def test_unknown_model(clock):
    """A model that the provider does not know is not asked again for a minute, if others are."""
    unknown = UnknownModels(clock)
    asked, retired = turn("sonnet"), [ModelNotFound("no")]
    run(asked, unknown=unknown, opus=retired, sonnet=answer("Hello."))
    later = {"unknown": unknown, "opus": answer("Opus."), "sonnet": answer("Hello.")}
    assert run(asked, **later) == ([FAILED, Noted(IGNORED), *answer("Hello.")], None)
    assert run(turn(), **later) == (answer("Opus."), None)
    clock.now = SECONDS
    assert run(asked, **later) == (answer("Opus."), None)


def test_other_failures_are_forgotten():
    """A model that was overloaded is asked again by the next request."""
    unknown = UnknownModels()
    run(turn("sonnet"), unknown=unknown, opus=[Overloaded("no")], sonnet=answer("Hello."))
    assert "opus" not in unknown


def test_begun():
    """Once the model has begun, no other one is asked."""
    events, error = run(turn("sonnet"), opus=[Started("opus"), Overloaded("no")], sonnet=[])
    assert events == [Started("opus")]
    assert isinstance(error, Overloaded)


def test_usage():
    """What a failed request used counts in the answer's usage."""
    usage = Usage(input=3, output=1)
    spent = {"opus": Spent(usage, 0.5)}
    events, _ = run(
        turn("sonnet"),
        opus=[Used(spent, 1), Overloaded("no")],
        sonnet=[Started("sonnet"), Ended(Ending.DONE, usage, 0.25)],
    )
    assert events[0] == Used(spent, 1)
    assert events[-1] == Ended(Ending.DONE, usage + usage, 0.75)


def test_nothing_twice():
    """A turn whose approved calls run before the model begins has no fallback."""
    call, approved = ToolCall("call_1", "add", "{}", "docs"), ToolResult("call_1", (Approved(),))
    messages = (*HI, Message("assistant", (call,)), Message("user", (approved,)))
    asked = turn("sonnet", messages=messages)
    events, error = run(asked, opus=[Overloaded("no")], sonnet=answer("Hello."))
    assert (events, type(error)) == ([], Overloaded)


def test_nobody_waits():
    """Neither a client that has left nor a spent budget pays for another request."""

    async def set_event():
        event = asyncio.Event()
        event.set()
        return event

    leaving = asyncio.run(set_event())
    events, error = run(turn("sonnet"), leaving, opus=[Overloaded("no")], sonnet=answer("Hi"))
    assert (events, type(error)) == ([], Overloaded)
    spent = replace(turn("sonnet"), may_go_on=lambda: False)
    events, error = run(spent, opus=[Overloaded("no")], sonnet=answer("Hi"))
    assert (events, type(error)) == ([], Overloaded)


# Over HTTP


def serve(**settings):
    """Return a server whose model opus fails."""
    overloaded = [Overloaded("no", retry_after=1)]
    script = {"opus": overloaded, "sonnet": answer("Hello."), "haiku": answer("Hello.")}
    return ScriptedServer(script=lambda turn: script[turn.model], **settings)


def test_models_of_a_request(caplog):
    """A request names its fallbacks; the header and the log name the model that failed."""
    caplog.set_level("INFO")
    response = serve().ask(model="opus", claude={"fallback_models": ["sonnet"]})
    assert (response.status_code, response.headers["x-failed-models"]) == (200, "opus")
    (facts,) = (record.facts for record in caplog.records if record.msg == "request")
    assert (facts["failed_models"], facts["outcome"]) == ("opus", "done")


def test_all_models_of_a_request_fail():
    """The error is that of the last model; the header names those that failed before."""
    server = ScriptedServer(script=lambda turn: [Overloaded(f"{turn.model} fails")])
    models = {"fallback_models": ["sonnet", "haiku"]}
    response = server.ask(model="opus", claude=models)
    assert error_of(response, 503)["message"] == "haiku fails"
    assert response.headers["x-failed-models"] == "opus, sonnet"
    alone = server.ask(model="opus")
    assert error_of(alone, 503)
    assert "x-failed-models" not in alone.headers


def test_unknown_models():
    """A fallback that is not served is an error that names its place, and so are too many."""
    response = serve().ask(claude={"fallback_models": ["sonnet", "gpt-none"]})
    assert error_of(response, 404)["param"] == "claude.fallback_models.1"
    response = serve().ask(claude={"fallback_models": ["sonnet"] * 4})
    assert error_of(response, 400)["param"] == "claude.fallback_models"


def test_models_of_a_key(tmp_path):
    """A key's fallbacks hold where a request names none, and its models limit both."""
    file = tmp_path / "keys.toml"
    header = {"x-api-key": key_editor.add(file, "ann")}
    limits = 'models = ["opus", "sonnet"]\nfallback_models = ["sonnet"]\n'
    file.write_text(file.read_text() + limits)
    server = serve(api_keys_file=str(file))
    assert server.ask(header, model="opus").headers["x-failed-models"] == "opus"
    none: dict[str, list[str]] = {"fallback_models": []}
    assert error_of(server.ask(header, model="opus", claude=none), 503)["code"] == "overloaded"
    response = server.ask(header, model="opus", claude={"fallback_models": ["haiku"]})
    assert error_of(response, 403)["param"] == "claude.fallback_models.0"


def test_usage_of_each_model(tmp_path):
    """What each model has used is in the usage of the key, also of the one that failed."""
    file = tmp_path / "keys.toml"
    header = {"x-api-key": key_editor.add(file, "ann")}
    failed = {"opus": Spent(Usage(input=3), 0.5)}
    script = {
        "opus": [Used(failed, 1), Overloaded("no")],
        "sonnet": answer("Hello."),
    }
    server = ScriptedServer(
        script=lambda turn: script[turn.model],
        api_keys_file=str(file),
        usage_db=str(tmp_path / "usage.db"),
    )
    options = {"fallback_models": ["sonnet"]}
    assert server.ask(header, model="opus", claude=options).status_code == 200
    report: Any = server.client.get("/v1/usage", headers=header).json
    costs = {line["model"]: line["cost_usd"] for line in report["data"]}
    assert costs == {"opus": 0.5, "scripted-model": 0.001}


def test_each_prompt_of_a_request():
    """If the model of a request with several prompts fails, another one answers each of them."""

    def script(turn):
        (prompt,) = turn.messages[-1].parts
        return [Overloaded("no")] if turn.model == "opus" else answer(f"{prompt}!")

    server = ScriptedServer(script=script)
    body = {
        "model": "opus",
        "prompt": ["One", "Two", "Three"],
        "n": 2,
        "claude": {"fallback_models": ["sonnet"]},
    }
    response: Any = server.client.post("/v1/completions", json=body)
    assert response.status_code == 200, response.json
    texts = [choice["text"] for choice in response.json["choices"]]
    assert texts == ["One!", "One!", "Two!", "Two!", "Three!", "Three!"]


def test_a_fallback_is_told_what_was_wrong():
    """A fallback whose answer lacks a call gets that answer and the reminder, and calls."""
    turns: list[Turn] = []

    def script(asked):
        turns.append(asked)
        if asked.model == "opus":
            return [Overloaded("no")]
        if len(asked.messages) == 1:
            return answer("I would rather not.")
        call = (CallStarted(0, "call_1", "look"), CallDelta(0, "{}"))
        return [Started("sonnet"), *call, Ended(Ending.CALLS, Usage(), 0.0)]

    function = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    demand = {"tools": [function], "tool_choice": "required"}
    models = {"fallback_models": ["sonnet"]}
    response = ScriptedServer(script=script).ask(model="opus", claude=models, **demand)
    assert [each.model for each in turns] == ["opus", "sonnet"] * 2
    assert turns[2].messages == turns[3].messages
    assert response.headers["x-retried-params"] == "tool_choice"
    (choice,) = response.json["choices"]
    assert choice["finish_reason"] == "tool_calls"


def test_a_fallback_that_cannot_be_forced():
    """The words of a fallback are held back if only the model that failed could be forced."""
    look = Function("look", {"type": "object"})
    demand = ToolChoice("any", forced=True)
    asked = turn(functions=(look,), tool_choice=demand, profile="plain")
    other = replace(asked, model="sonnet", tool_choice=replace(demand, forced=False))
    asked = replace(asked, fallbacks=((other, NO_NOTES),))
    call = (CallStarted(0, "call_1", "look"), CallDelta(0, "{}"))
    called: list[Step] = [Started("sonnet"), *call, Ended(Ending.CALLS, Usage(), 0.0)]
    answers: list[list[Step]] = [[Overloaded("no")], answer("No."), [Overloaded("no")], called]
    engine = ScriptedEngine(lambda each: answers.pop(0))
    correcting = Correction(Fallback(engine, UnknownModels()), "tool_choice", True, True)

    async def collect():
        async with aclosing(correcting.run(asked, asyncio.Event())) as iterator:
            return [event async for event in iterator]

    events = asyncio.run(collect())
    assert [each for each in events if isinstance(each, (TextDelta, CallStarted))] == [call[0]]
    assert Noted(Notes(unmet_params=("tool_choice",))) not in events
