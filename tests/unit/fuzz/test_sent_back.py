"""Every answer of the gateway can be part of the next request's history."""

from typing import Any

import pytest

from tests.support.scripted_server import USER, ScriptedServer, frames_of
from wrapper.services.claude.protocol.frames import extra_body
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Ended,
    Ending,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolUse,
)
from wrapper.services.spent import Usage
from wrapper.testing import rules

TOOLS = [{"type": "function", "function": {"name": "f"}}]
FUNCTIONS = {"functions": [{"name": "f"}]}
RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "s", "schema": {"type": "object"}},
}
SHOWN = {"claude": {"profile": "agent", "show_tool_use": True}}


def called(*arguments, name="f"):
    events = []
    for index, text in enumerate(arguments):
        events += [CallStarted(index, f"c{index}", name), CallDelta(index, text)]
    return events


def ended(ending):
    return Ended(ending, Usage(input=3, output=2), 0.001)


ANSWERS: dict[str, Any] = {
    "a text": ([TextDelta("Yes.")], Ending.DONE, {}),
    "nothing": ([], Ending.DONE, {}),
    "white space": ([TextDelta(" \n")], Ending.DONE, {}),
    "a cut text": ([TextDelta("Ye")], Ending.LENGTH, {}),
    "a refusal": ([], Ending.REFUSED, {}),
    "a refusal after some text": ([TextDelta("Well")], Ending.REFUSED, {}),
    "a call": (called("{}"), Ending.CALLS, {"tools": TOOLS}),
    "several calls": (called("{}", '{"a": 1}'), Ending.CALLS, {"tools": TOOLS}),
    "a call and a text": ([TextDelta("So:"), *called("{}")], Ending.CALLS, {"tools": TOOLS}),
    "a call cut by max_tokens": (called('{"a": "Os'), Ending.LENGTH, {"tools": TOOLS}),
    "a second call cut": (called("{}", '{"a"'), Ending.LENGTH, {"tools": TOOLS}),
    **{
        f"a call with {text!r}": (called(text), Ending.CALLS, {"tools": TOOLS})
        for text in ("", "null", "[]", "7", '"{}"', "{", '{"a": 12345678901234567890}')
    },
    "a call of the first form": (called("{}"), Ending.CALLS, FUNCTIONS),
    "a cut call of the first form": (called("{"), Ending.LENGTH, FUNCTIONS),
    "a structured answer": ([TextDelta("{}")], Ending.DONE, {"response_format": RESPONSE_FORMAT}),
    "a prefill": (
        [TextDelta(" Sir")],
        Ending.DONE,
        {"messages": [USER, {"role": "assistant", "content": "Dear"}], "claude": {"prefill": True}},
    ),
    "a tool use": ([ToolUse("Bash", "{}"), TextDelta("Done.")], Ending.DONE, SHOWN),
    "reasoning": ([ReasoningDelta("Hm."), TextDelta("Yes.")], Ending.DONE, {}),
    "the end of the tool rounds": ([TextDelta("Wait.")], Ending.LENGTH, SHOWN),
}
AFTER = {
    "at the end": lambda message: [],
    "then the user": lambda message: [USER],
    "then results": lambda message: [
        *(
            {"role": "tool", "tool_call_id": call["id"], "content": "1"}
            for call in message.get("tool_calls") or ()
        ),
        *(
            [{"role": "function", "name": "f", "content": "1"}]
            if "function_call" in message
            else []
        ),
    ],
}


def message_of(frames):
    """Return the message that clients assemble from a stream."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for frame in frames:
        for choice in frame["choices"]:
            delta = choice["delta"]
            if delta.get("content"):
                message["content"] = (message["content"] or "") + delta["content"]
            for piece in delta.get("tool_calls") or ():
                if "id" in piece:
                    call = {**piece, "function": dict(piece["function"])}
                    message.setdefault("tool_calls", []).append(call)
                else:
                    call = message["tool_calls"][piece["index"]]
                    call["function"]["arguments"] += piece["function"]["arguments"]
            for key, text in (delta.get("function_call") or {}).items():
                call = message.setdefault("function_call", {})
                call[key] = call.get(key, "") + text
    return message


def answer_of(server, stream, **asked):
    response = server.ask(stream=stream, **asked)
    assert response.status_code == 200, response.text
    if stream:
        return message_of(frame for frame in frames_of(response) if isinstance(frame, dict))
    return response.json["choices"][0]["message"]


@pytest.mark.parametrize(("stream", "session"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("kind", ANSWERS)
def test_sent_back(kind, after, stream, session):
    """Each kind of answer is accepted as history, with or without messages after it."""
    steps, ending, asked = ANSWERS[kind]
    asked = dict(asked)
    server = ScriptedServer(Started("m"), *steps, ended(ending))
    before = asked.pop("messages", [USER])
    identified = {"session_id": "s"} if session else {}
    message = answer_of(server, stream, messages=before, **asked, **identified)
    history = [] if session and after != "at the end" else [*before, message]
    follow = AFTER[after](message) or ([] if history else [USER])
    claude = {**asked.pop("claude", {}), "prefill": False}
    model = "claude-sonnet-4-6"
    answer_of(
        server,
        stream,
        model=model,
        messages=[*history, *follow],
        claude=claude,
        **asked,
        **identified,
    )
    turn = server.engine.turns[-1]
    if turn.profile == "plain":
        rules.check({"max_tokens": 1, **extra_body(turn)}, model)
