"""Fidelity: requests and answers equal those of a direct caller of the Messages API.

Each case is a client's request and its direct request. Through the real CLI the first must become
the second, to the letter and once. The answer must be the API's answer to the second, in OpenAI's
form.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import pytest

from tests.live.test_function_calls import ASKED, BASH, PLACE, READ, WEATHER, tools
from tests.live.test_message_shapes import (
    CALLED,
    QUESTION,
    RESULTS,
    SAY,
    SHAPES,
    USES,
    result,
    text,
    use,
)
from tests.live.test_parameters_upstream import CLAMPED, IGNORED, told
from tests.support.direct_request import KEPT, SHOWN, Case, call
from tests.support.normalised import normalised
from tests.support.parameter_cases import CASES
from tests.support.server import MODEL
from wrapper.schemas.chat.message import CALL_FIELDS, ROLES
from wrapper.schemas.chat.parameters import PARAMETERS
from wrapper.schemas.parameters import Kind

pytestmark = pytest.mark.clis


def say(asked, direct=None, **sent):
    """Return the case of a user message with these parameters."""
    messages = [{"role": "user", "content": asked}]
    return Case({"messages": messages, **sent}, {"messages": [("user", [text(asked)])], **direct})


NOTHING = {"type": "object", "properties": {}}
OFFERED = [
    {"name": "get_weather", "description": "Tells the weather.", "input_schema": PLACE},
    {"name": "Read", "input_schema": NOTHING},
    {"name": "Bash", "description": "Not Claude Code's.", "input_schema": NOTHING},
]
SEVERAL = f'[[first Let me see.]] {ASKED} [[tool Read]] [[tool Bash {{"a": [1]}}]] [[together]]'
OFFER = {"tools": tools(WEATHER, READ, BASH)}
ONE = {"type": "tool", "name": "Read"}
NAMED = {"type": "function", "function": READ}
SERIAL = {"disable_parallel_tool_use": True}
TRIP = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "trip", "schema": TRIP}}
FITS = '[[json {"city": "Zürich"}]]'
THINK = '[[think Let me see.]] [[say Yes.]] [[usage {"output_tokens": 9, "output_tokens_details": '
THINK += '{"thinking_tokens": 4}}]]'


def allowed(mode):
    listed = {"mode": mode, "tools": tools(READ)}
    return {"type": "allowed_tools", "allowed_tools": listed}


def choice(asked, sent, parallel=None):
    """Return the case of a tool_choice, with parallel_tool_calls."""
    direct = {"tools": OFFERED, **({"tool_choice": sent} if sent else {})}
    return say("hello", direct, **OFFER, tool_choice=asked, parallel_tool_calls=parallel)


def shape(asked, direct, **sent):
    """Return the case of a structured answer: the input of the direct request's last tool."""
    return replace(say(asked, direct, **sent), answer=direct["tools"][-1]["name"])


def as_answer(name, schema):
    """Return the tool whose input is the structured answer."""
    why = "Gives your answer to the user. Always answer by calling this, once, and write no text "
    return {"name": name, "description": f"{why}beside it.", "input_schema": schema}


def thinks(budget):
    """Return the direct request's fields for a thinking budget."""
    thinking = {"type": "enabled", "budget_tokens": budget, **SHOWN}
    return {"thinking": thinking, "temperature": None, **KEPT}


NEWEST = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 128_000,
    "thinking": {"type": "adaptive", **SHOWN},
    "output_config": {"effort": "medium"},
    "temperature": None,
    **KEPT,
}
BUDGETS = {
    "minimal": 1024,
    "low": 4096,
    "medium": 10_000,
    "high": 20_000,
    "xhigh": 31_999,
    "max": 31_999,
}


def conversation(messages, blocks):
    """Return the case of a conversation. Its functions are offered with tool_choice none."""
    names = [block["name"] for _, told in blocks for block in told if "input" in block]
    offered = [{"name": name, "input_schema": {"type": "object"}} for name in names]
    more = {"tools": offered, "tool_choice": {"type": "none"}} if names else {}
    return Case({"messages": messages}, {"messages": blocks, **more})


def parts_of(role):
    """Return the text parts that *role* may have, one of each kind."""
    return [{"type": kind, kind: f"{role} {kind}. "} for kind in ("text", "refusal")]


def texts_of(role):
    """Return the blocks that those parts become."""
    return [text(part[part["type"]]) for part in parts_of(role)]


OLDER = {"role": "assistant", "function_call": {"name": "f", "arguments": '{"a": 1}'}}
CONTENT: dict[str, Case] = {
    **{name: conversation(*shapes) for name, shapes in SHAPES.items()},
    "system messages": Case(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "first", "name": "carol"},
                {"role": "assistant", "content": "one", "name": "dave"},
                {"role": "developer", "content": parts_of("developer")},
                QUESTION,
                {"role": "system", "content": parts_of("system")},
            ]
        },
        {
            "system": [
                "Be brief.\n\ndeveloper text. developer refusal. \n\nsystem text. system refusal. "
            ],
            "messages": [("user", [text("first")]), ("assistant", [text("one")]), ("user", [SAY])],
        },
    ),
    "parts of every role": conversation(
        [
            {"role": "user", "content": parts_of("user")},
            {"role": "assistant", "content": parts_of("assistant")},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": None, "refusal": "I will not."},
            {"role": "user", "content": "b"},
            OLDER,
            {"role": "function", "name": "f", "content": parts_of("function")},
            {**CALLED, "tool_calls": CALLED["tool_calls"][:1], "content": ""},
            {**RESULTS[1], "content": parts_of("tool")},
            QUESTION,
        ],
        [
            ("user", texts_of("user")),
            ("assistant", texts_of("assistant")),
            ("user", [text("a")]),
            ("assistant", [text("I will not.")]),
            ("user", [text("b")]),
            ("assistant", [use("function_call_5", "f", {"a": 1})]),
            ("user", [result("function_call_5", *texts_of("function"))]),
            ("assistant", USES[:1]),
            ("user", [result("call_1", *texts_of("tool")), SAY]),
        ],
    ),
    "users one after the other": conversation(
        [{"role": "user", "content": " \n"}, {"role": "user", "content": "a"}, QUESTION],
        [("user", [text("a"), SAY])],
    ),
}

HONOURED: dict[str, list[Case]] = {
    "model": [
        Case({"model": "claude-haiku-4-5"}, {"model": "claude-haiku-4-5"}),
        Case({"model": "sonnet"}, NEWEST),
        Case({"model": None}, NEWEST),
    ],
    "messages": list(CONTENT.values()),
    "session_id": [Case({"session_id": "new"})],
    "stream": [Case({"stream": True})],
    "stream_options": [
        Case({"stream": True, "stream_options": {"include_usage": usage}})
        for usage in (True, False)
    ],
    "max_tokens": [
        Case({"max_tokens": 7}, {"max_tokens": 7}),
        say("[[deltas 3]] [[stop max_tokens]]", {"max_tokens": 3}, max_tokens=3),
    ],
    "max_completion_tokens": [
        Case({"max_completion_tokens": 8, "max_tokens": 7}, {"max_tokens": 8}),
    ],
    "temperature": [
        *(Case({"temperature": value}, {"temperature": value}) for value in (0, 0.5, 1)),
        *(
            Case({"temperature": value}, {"temperature": 1}, {CLAMPED: "temperature"})
            for value in (1.2, 2)
        ),
    ],
    "top_p": [
        Case({"top_p": 0.5}, {"top_p": 0.5}),
        Case({"top_p": 1}),
        Case({"top_p": 0, "temperature": 0.3}, {"top_p": 0, "temperature": 0.3}),
    ],
    "stop": [
        Case({"stop": "END"}, {"stop_sequences": ["END"]}),
        Case({"stop": ["a b", "\n"]}, {"stop_sequences": ["a b"]}),
        Case({"stop": []}),
        say("[[deltas 3]] [[stop stop_sequence]]", {"stop_sequences": [" w4"]}, stop=" w4"),
    ],
    "n": [Case({"n": 1}), Case({"n": 3})],
    "reasoning_effort": [
        Case({"reasoning_effort": "none"}),
        *(say(THINK, thinks(BUDGETS[effort]), reasoning_effort=effort) for effort in BUDGETS),
        say(THINK, {**thinks(1500), "max_tokens": 3000}, reasoning_effort="max", max_tokens=3000),
        say(
            THINK,
            {**NEWEST, "output_config": {"effort": "high"}},
            model="sonnet",
            reasoning_effort="high",
        ),
        Case(
            {"model": "sonnet", "reasoning_effort": "none"}, NEWEST, {IGNORED: "reasoning_effort"}
        ),
    ],
    "system": [
        Case({"system": "Be brief."}, {"system": ["Be brief."]}),
    ],
    "thinking": [
        Case({"thinking": {"type": "disabled"}}),
        say(
            THINK,
            thinks(BUDGETS["medium"]),
            thinking={"type": "enabled", "budget_tokens": 9000},
        ),
        Case({"model": "sonnet", "thinking": {"type": "disabled"}}, NEWEST, {IGNORED: "thinking"}),
    ],
    "stop_sequences": [
        Case({"stop": "a", "stop_sequences": ["b"]}, {"stop_sequences": ["a", "b"]}),
    ],
    "claude": [
        Case({"claude": {}}),
        Case({"claude": {"profile": "plain", "show_tool_use": True}}),
        Case(
            {
                "claude": {"prefill": True},
                "messages": [QUESTION, {"role": "assistant", "content": "Dear"}],
            },
            {"messages": [("user", [SAY]), ("assistant", [text("Dear")])]},
        ),
    ],
    "tools": [say(asked, {"tools": OFFERED}, **OFFER) for asked in ("[[say no]]", ASKED, SEVERAL)],
    "tool_choice": [
        choice("auto", None),
        choice("none", {"type": "none"}),
        choice("required", {"type": "any"}),
        choice(NAMED, ONE),
        say("hello", {"tools": OFFERED[1:2]}, **OFFER, tool_choice=allowed("auto")),
        say(
            "hello",
            {"tools": OFFERED[1:2], "tool_choice": {"type": "any"}},
            **OFFER,
            tool_choice=allowed("required"),
        ),
    ],
    "parallel_tool_calls": [
        choice("auto", None, True),
        choice("auto", {"type": "auto", **SERIAL}, False),
        choice("none", {"type": "none"}, False),
        choice("required", {"type": "any", **SERIAL}, False),
        choice(NAMED, {**ONE, **SERIAL}, False),
    ],
    "functions": [
        say(
            ASKED,
            {"tools": OFFERED, "tool_choice": {"type": "auto", **SERIAL}},
            functions=[WEATHER, READ, BASH],
        ),
    ],
    "function_call": [
        say(
            ASKED,
            {
                "tools": OFFERED[:1],
                "tool_choice": {"type": "tool", "name": "get_weather", **SERIAL},
            },
            functions=[WEATHER],
            function_call={"name": "get_weather"},
        ),
        say(
            "hello",
            {"tools": OFFERED[:1], "tool_choice": {"type": "none"}},
            functions=[WEATHER],
            function_call="none",
        ),
    ],
    "response_format": [
        Case({"response_format": {"type": "text"}}),
        shape(
            FITS,
            {
                "tools": [as_answer("trip", TRIP)],
                "tool_choice": {"type": "tool", "name": "trip"},
            },
            response_format=FORMAT,
        ),
        shape(
            FITS,
            {
                "tools": [as_answer("json_object", {"type": "object"})],
                "tool_choice": {"type": "tool", "name": "json_object"},
            },
            response_format={"type": "json_object"},
        ),
        *(
            shape(
                asked,
                {
                    "tools": [OFFERED[0], as_answer("trip", TRIP)],
                    "tool_choice": {"type": "any"},
                },
                response_format=FORMAT,
                tools=tools(WEATHER),
            )
            for asked in (ASKED, '[[tool trip {"city": "Rom"}]]')
        ),
        shape(
            '[[think Hm.]] [[tool trip {"city": "Rom"}]]',
            {"tools": [as_answer("trip", TRIP)], **thinks(4096)},
            response_format=FORMAT,
            reasoning_effort="low",
        ),
    ],
}
IDLE = {
    name: [Case({name: CASES[name].right[0]}, told={IGNORED: name})]
    for name in PARAMETERS.of(Kind.IGNORED)
}
NEUTRAL = [
    Case({name: None for name in PARAMETERS if name not in ("model", "messages")}),
    Case(
        {
            name: one.neutral[0]
            for name, one in PARAMETERS.items()
            if one.neutral and "tool" not in name and "function" not in name
        }
    ),
]
ANSWERS = [
    say("[[deltas 3]] [[stop refusal]]", {}),
    say(
        '[[say Hi]] [[usage {"input_tokens": 7, "cache_read_input_tokens": 30, '
        '"cache_creation_input_tokens": 5}]]',
        {},
    ),
    say(
        SEVERAL,
        {"temperature": 0.5, "stop_sequences": ["END"], "max_tokens": 100, "tools": OFFERED},
        **OFFER,
        temperature=0.5,
        stop="END",
        max_tokens=100,
    ),
]


def runs():
    """Yield each answer whole and streamed, and the cases of a parameter by turns.

    Ignored parameters are only whole. One case of each parameter with an effect is not thorough.
    """
    tables = {**HONOURED, **IDLE, "nothing": NEUTRAL, "answers": ANSWERS}
    for name, cases in tables.items():
        for number, case in enumerate(cases):
            both = name not in IDLE and (name == "answers" or len(cases) == 1)
            one = name not in IDLE and number % 2 == 0
            for stream in (False, True) if both else (one,):
                chosen = name not in IDLE and stream and number == 0
                marks = () if chosen else pytest.mark.thorough
                mode = "stream" if stream else "whole"
                yield pytest.param(case, stream, id=f"{name}-{number}-{mode}", marks=marks)


@pytest.fixture
def gateway(fresh_gateway):
    """Here each turn is a process's first; test_recycling.py compares later ones with it."""
    return fresh_gateway


def ask(gateway, case, *, stream):
    """Return headers, choices and usage of the answer to the case."""
    modes = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    body = {"model": MODEL, "messages": [QUESTION], **case.sent, **modes}
    body["claude"] = {"profile": "plain", **(body.get("claude") or {})}
    if body.get("session_id"):
        body["session_id"] = uuid.uuid4().hex  # each request begins a session
    status, headers, data = gateway.call("POST", "/v1/chat/completions", body)
    assert status == 200, data
    return headers, *(folded(data) if body.get("stream") else whole(data))


def whole(data):
    """Return the choices and the usage of a whole answer."""
    answer = json.loads(data)
    choices = [{name: c[name] for name in ("message", "finish_reason")} for c in answer["choices"]]
    assert [choice["message"].pop("annotations") for choice in choices] == [[]] * len(choices)
    return choices, answer["usage"]


def folded(data):
    """Return the choices and the usage of a streamed answer."""
    lines = [line for line in data.decode().splitlines() if line.startswith("data: {")]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    choices: dict[int, Any] = {}
    for chunk in chunks:
        for one in chunk["choices"]:
            choice = choices.setdefault(one["index"], {"message": {}})
            choice["message"] = merged(choice["message"], one["delta"])
            choice["finish_reason"] = one["finish_reason"]
    for message in (choice["message"] for choice in choices.values()):
        if message.keys() & set(CALL_FIELDS):
            message["content"] = message["content"] or None
        for called in message.get("tool_calls", []):
            del called["index"]
    return [choices[index] for index in sorted(choices)], chunks[-1].get("usage")


def merged(held, more):
    """Return a message after one more delta."""
    if isinstance(more, list):
        pieces = {one["index"]: one for one in held or []}
        for one in more:
            pieces[one["index"]] = merged(pieces.get(one["index"]), one)
        return list(pieces.values())
    if isinstance(more, dict):
        held = held or {}
        return {**held, **{name: merged(held.get(name), value) for name, value in more.items()}}
    return held + more if isinstance(held, str) and isinstance(more, str) else more


def flat(usage):
    """Return the token counts of a completion's usage, without its cost."""
    assert usage["cost_usd"] > 0
    numbers = {**usage, **usage["prompt_tokens_details"], **usage["completion_tokens_details"]}
    return {name: value for name, value in numbers.items() if isinstance(value, int) and value}


@pytest.mark.parametrize(("case", "stream"), list(runs()))
def test_fidelity(gateway, upstream, case, stream):
    """The request arrives as the direct one, and the answer is the API's."""
    headers, choices, usage = ask(gateway, case, stream=stream)
    assert told(headers) == case.told
    body, turns = case.body(), case.sent.get("n") or 1
    assert [normalised(request.body) for request in upstream.requests] == [body] * turns
    choice, used = case.in_openais_words(call(upstream.url, body))
    assert choices == [choice] * turns
    if stream or tells_usage(case):
        assert flat(usage) == {name: value * turns for name, value in used.items() if value}
    else:
        assert usage is None


def tells_usage(case):
    """Say whether the answer has usage: a stream only if the case asks for it."""
    options = case.sent.get("stream_options") or {}
    return not case.sent.get("stream") or options.get("include_usage", False)


@pytest.mark.parametrize("name", PARAMETERS.of(Kind.REFUSED))
def test_refused(gateway, upstream, name):
    """A parameter that the API cannot get is refused by name, and the model is not asked."""
    for value in CASES[name].wrong:
        status, body = gateway.ask("hello", **{name: value})
        assert (status, body["error"]["param"]) == (400, name)
    assert upstream.requests == []


def test_every_parameter_has_a_case():
    """Every parameter in the table has a case here."""
    assert set(HONOURED) == set(PARAMETERS.of(Kind.HONOURED))
    assert all([*HONOURED.values(), *IDLE.values()])
    assert all(name in case.sent for name, cases in HONOURED.items() for case in cases)


def test_every_kind_of_content_has_a_case():
    """Every kind of content part has a case here, in each role."""
    messages = [message for case in CONTENT.values() for message in case.sent["messages"]]
    sent = {
        (message["role"], one["type"])
        for message in messages
        if isinstance(message.get("content"), list)
        for one in message["content"]
    }
    assert sent == {(role, kind) for role, kinds in ROLES.items() for kind in kinds}
    beside = {name for message in messages for name in message}
    assert beside >= {"role", "content", "name", "refusal", "tool_call_id", *CALL_FIELDS}


@pytest.fixture(scope="module")
def elsewhere(_servers):
    return _servers().wait()


@pytest.mark.parametrize("profile", ["plain", "agent"])
def test_follow_up_elsewhere(gateway, elsewhere, upstream, profile):
    """A call's result may go to a gateway that never saw the call, as after a restart."""
    more = {"tools": tools(WEATHER), "claude": {"profile": profile}}
    asked = {"role": "user", "content": f"{ASKED} [[say Take a hat.]]"}
    status, body = gateway.ask("", messages=[asked], **more)
    assert status == 200, body
    called = body["choices"][0]["message"]
    call_id = called["tool_calls"][0]["id"]
    messages = [asked, called, {"role": "tool", "tool_call_id": call_id, "content": "Sunny."}]
    upstream.clear()
    gateway.ask("", messages=messages, **more)
    status, body = elsewhere.ask("", messages=messages, **more)
    assert (status, body["choices"][0]["message"]["content"]) == (200, "Take a hat.")
    seen, unseen = (normalised(request.body) for request in upstream.requests)
    assert unseen == seen
    if profile == "plain":
        used = use(call_id, "get_weather", {"city": "Zürich", "days": 2})
        blocks = [[text(asked["content"])], [used], [result(call_id, text("Sunny."))]]
        told = zip(("user", "assistant", "user"), blocks, strict=True)
        assert unseen == Case(direct={"messages": [*told], "tools": OFFERED[:1]}).body()
