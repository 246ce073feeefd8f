"""Digits and compositions: numbers and schemas that Claude Code would change reach the model."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.support.exact_numbers import same_digits
from tests.support.server import MODEL

PROFILES = ("plain", "agent")
DIGITS = ("1234567890123456789", "0.12345678901234567890", "-0.0", "1e400", "4.9e-324", "1" * 40)
ARGUMENTS = f'{{"ids": [{", ".join(DIGITS)}], "by": {{"10": 1, "9": 2}}, "one": 1.0, "tax": 19.90}}'
ARRIVED = {
    "ids": [*DIGITS],
    "by": {"9": 2, "10": 1, "keys in order": ["10", "9"]},
    "one": 1,
    "tax": 19.9,
}
FUNCTION = {"name": "f", "parameters": {"type": "object"}}
TOOLS = [{"type": "function", "function": FUNCTION}]
CALLED = {"name": "f", "arguments": ARGUMENTS}
FORMS: dict[str, tuple[dict[str, Any], ...]] = {
    "tool_calls": (
        {"tool_calls": [{"id": "c", "type": "function", "function": CALLED}]},
        {"role": "tool", "tool_call_id": "c", "content": "[[say ok]]"},
        {"tools": TOOLS},
        {"x-adapted-messages": "messages.1.tool_calls.0.function.arguments"},
    ),
    "function_call": (
        {"function_call": CALLED},
        {"role": "function", "name": "f", "content": "[[say ok]]"},
        {"functions": [FUNCTION]},
        {"x-adapted-messages": "messages.1.function_call.arguments"},
    ),
}


def post(gateway, body, **more):
    """Return status, headers and body of a completion; *body* may be JSON text."""
    data = body if isinstance(body, bytes) else json.dumps({"model": MODEL, **body, **more})
    data = data.encode() if isinstance(data, str) else data
    status, headers, answer = gateway.call("POST", "/v1/chat/completions", data)
    assert status == 200, answer
    return headers, json.loads(answer)["choices"][0]["message"]


def calls_in(recorded):
    """Return the inputs of the calls in the request that reached the model."""
    blocks = [
        block
        for message in recorded.body["messages"]
        for block in message["content"]
        if isinstance(block, dict)
    ]
    return [block["input"] for block in blocks if block["type"] == "tool_use"]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("form", FORMS)
def test_history(gateway, upstream, form, profile):
    """Digits, signs and order in earlier calls reach the model, and a header names them."""
    call, result, functions, named = FORMS[form]
    user = {"role": "user", "content": "hi"}
    messages = [user, {"role": "assistant", "content": None, **call}, result]
    headers, _ = post(gateway, {"messages": messages, "claude": {"profile": profile}, **functions})
    assert headers.items() >= named.items()
    assert calls_in(upstream.requests[-1]) == [ARRIVED]


def _any_number(dice):
    digits = "".join(dice.choices("0123456789", k=dice.randint(1, 22))).lstrip("0") or "0"
    fraction = f".{dice.randint(0, 10 ** dice.randint(1, 20))}" if dice.random() < 0.5 else ""
    exponent = f"e{dice.randint(-330, 330)}" if dice.random() < 0.3 else ""
    return f"{dice.choice(['', '-'])}{digits}{fraction}{exponent}"


def test_any_numbers_and_keys(gateway, upstream):
    """A thousand random numbers and objects arrive with digits, signs and order."""
    dice = random.Random(15)
    numbers = [_any_number(dice) for _ in range(800)]
    keys = [
        dice.sample(["10", "9", "0", "a", "4294967295", "4294967294", "01"], 4) for _ in "x" * 200
    ]
    objects = [f"{{{', '.join(f'{json.dumps(key)}: 1' for key in each)}}}" for each in keys]
    arguments = f'{{"numbers": [{", ".join(numbers)}], "objects": [{", ".join(objects)}]}}'
    call = {"name": "f", "arguments": arguments}
    user = {"role": "user", "content": "hi"}
    result = {"role": "function", "name": "f", "content": "[[say ok]]"}
    messages = [user, {"role": "assistant", "content": None, "function_call": call}, result]
    post(gateway, {"messages": messages, "functions": [FUNCTION]})
    written = json.loads(arguments, parse_int=lambda one: (one,), parse_float=lambda one: (one,))
    (arrived,) = calls_in(upstream.requests[-1])
    lost = [
        pair
        for name in ("numbers", "objects")
        for pair in zip(written[name], arrived[name], strict=True)
        if not same_digits(*pair)
    ]
    assert lost == []


@pytest.mark.parametrize("profile", PROFILES)
def test_session(remembering, upstream, new_session, profile):
    """In a session, too, the model reads the digits that it has written."""
    session = new_session(remembering, profile)
    answer = session.ask(f"[[tool f {ARGUMENTS}]] [[result]]", tools=TOOLS)
    (call,) = answer.message["tool_calls"]
    assert call["function"]["arguments"] == ARGUMENTS
    result = {"role": "tool", "tool_call_id": call["id"], "content": "done"}
    session.ask(result, tools=TOOLS)
    assert calls_in(upstream.requests[-1]) == [ARRIVED]


BIG = f'{{"type": "integer", "enum": [{DIGITS[0]}, 7], "minimum": 9007199254740993}}'
LONG = f'{{"type": "number", "multipleOf": {DIGITS[1]}}}'
SCHEMA = f'{{"type": "object", "properties": {{"id": {BIG}, "part": {LONG}}}, "required": ["id"]}}'


@pytest.mark.parametrize("profile", PROFILES)
def test_schema(gateway, upstream, profile):
    """Numbers in a schema reach the model in words."""
    function = f'{{"type": "function", "function": {{"name": "f", "parameters": {SCHEMA}}}}}'
    body = (
        f'{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "[[say ok]]"}}], '
        f'"claude": {{"profile": "{profile}"}}, "tools": [{function}]}}'
    )
    headers, _ = post(gateway, body.encode())
    assert headers["x-adapted-params"] == "tools.0.function.parameters"
    tools = upstream.requests[-1].body["tools"]
    (schema,) = (tool["input_schema"] for tool in tools if tool["name"].endswith("f"))
    told = schema["properties"]
    assert told["id"].keys() == told["part"].keys() == {"type", "description"}
    assert f'"enum": [{DIGITS[0]}, 7], "minimum": 9007199254740993' in told["id"]["description"]
    assert f'"multipleOf": {DIGITS[1]}' in told["part"]["description"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("profile", PROFILES)
def test_answer(gateway, profile, stream):
    """An answer in a schema keeps its digits, and all of them are checked."""
    answer = f'{{"id": {DIGITS[0]}, "9": {DIGITS[1]}, "10": 1e5}}'
    shape = f'{{"type": "json_schema", "json_schema": {{"name": "x", "schema": {SCHEMA}}}}}'
    asked = f"[[tool StructuredOutput {answer}]]" if profile == "agent" else f"[[json {answer}]]"
    body = (
        f'{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "{{}}"}}], "claude": '
        f'{{"profile": "{profile}"}}, "stream": {json.dumps(stream)}, "response_format": {shape}}}'
    ).replace('"{}"', json.dumps(asked))
    if not stream:
        assert post(gateway, body.encode())[1]["content"] == answer
        return
    _, _, raw = gateway.call("POST", "/v1/chat/completions", body.encode())
    events = [json.loads(line[6:]) for line in raw.decode().split("\n\n") if line[6:7] == "{"]
    assert "".join(e["choices"][0]["delta"].get("content") or "" for e in events) == answer


def test_an_agents_own_answer(remembering, upstream, new_session):
    """An agent's next turn has the digits of its structured answer."""
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    session = new_session(remembering, "agent")
    answer = f'{{"id": {DIGITS[0]}}}'
    said = session.ask(f"[[tool StructuredOutput {answer}]]", response_format=shape)
    assert said.message["content"] == answer
    session.ask("[[tool StructuredOutput {}]]", response_format=shape)
    assert DIGITS[0] in upstream.requests[-1].raw.decode()
    assert "1234567890123456800" not in upstream.requests[-1].raw.decode()


CAT = {
    "type": "object",
    "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
    "required": ["kind", "lives"],
}
DOG = {"type": "object", "properties": {"kind": {"const": "dog"}}, "required": ["kind"]}
COMPOSED = {
    "any": {"anyOf": [CAT, DOG]},
    "one": {"oneOf": [CAT, DOG, {"type": "null"}]},
    "all": {"allOf": [CAT, {"required": ["name"], "properties": {"name": True}}]},
    "ref": {"$ref": "#/$defs/Cat", "$defs": {"Cat": CAT}},
    "both": {"type": "object", "properties": {"id": {}}, "anyOf": [CAT, DOG]},
    "same": {"enum": [{"kind": "cat"}, {"kind": "dog"}]},
}
LOOSE = {
    "none": {"description": "Anything."},
    "null": {"type": ["object", "null"], "properties": {"kind": {"type": "string"}}},
    "true": True,
    "empty": {},
    "odd": {"type": "object", "properties": {"kind": True, "never": False}},
    "usual": CAT,
}


@pytest.mark.parametrize("profile", PROFILES)
def test_compositions(gateway, upstream, profile):
    """Compositions at the top of a schema become objects, for each function by itself."""
    given = COMPOSED | LOOSE
    tools = [
        {"type": "function", "function": {"name": name, "description": "D.", "parameters": schema}}
        for name, schema in given.items()
    ]
    asked = {"messages": [{"role": "user", "content": '[[tool any {"kind": "dog"}]]'}]}
    headers, answer = post(gateway, asked, tools=tools, claude={"profile": profile})
    assert answer["tool_calls"][0]["function"] == {"name": "any", "arguments": '{"kind": "dog"}'}
    named = headers["x-adapted-params"].split(", ")
    assert named == [f"tools.{at}.function.parameters" for at in range(len(COMPOSED))]
    own = upstream.requests[-1].body["tools"]
    sent = {tool["name"].removeprefix("mcp__client__"): tool for tool in own}
    assert sent.keys() >= given.keys()
    for name in given:
        schema = sent[name]["input_schema"]
        assert schema["type"] == "object"
        assert not {"anyOf", "oneOf", "allOf", "$ref"} & schema.keys()
    for name, schema in COMPOSED.items():
        described = sent[name]["description"]
        assert described.startswith("D.\n\n")
        assert json.loads(described.partition("Schema: ")[2]) == schema
    assert sent["any"]["input_schema"]["properties"]["kind"] == {"enum": ["cat", "dog"]}
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_calls_of_compositions(gateway, upstream, profile):
    """A call that the original schema refuses is named; for a strict function it is made again."""
    call = '[[tool any {"kind": "cow"}]]'
    function = {"name": "any", "parameters": COMPOSED["any"]}
    for strict, named in ((False, "x-unmet-params"), (True, "x-retried-params")):
        tools = [{"type": "function", "function": {**function, "strict": strict}}]
        asked = {"messages": [{"role": "user", "content": call}], "tools": tools}
        headers, answer = post(gateway, asked, claude={"profile": profile})
        assert headers[named] == "tools"
        assert answer["tool_calls"][0]["function"]["arguments"] == '{"kind": "cow"}'
    assert len(upstream.requests) == 3
    assert "the arguments of any do not match" in upstream.requests[2].raw.decode()


@pytest.mark.parametrize("profile", PROFILES)
def test_calls_of_a_strict_function(gateway, upstream, profile):
    """A call that a strict function's schema refuses is made again, and then named."""
    kinds = {"type": "object", "properties": {"kind": {"enum": ["cat", "dog"]}}}
    function = {"name": "any", "parameters": kinds, "strict": True}
    body = {"messages": [{"role": "user", "content": '[[tool any {"kind": "cow"}]]'}]}
    tools = [{"type": "function", "function": function}]
    headers, answer = post(gateway, body, tools=tools, claude={"profile": profile})
    assert (headers["x-retried-params"], headers["x-unmet-params"]) == ("tools", "tools")
    assert "x-adapted-params" not in headers
    (call,) = answer["tool_calls"]
    assert call["function"]["arguments"] == '{"kind": "cow"}'
    assert len(upstream.requests) == 2
    assert "the arguments of any do not match" in upstream.requests[1].raw.decode()


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("schema", [COMPOSED["one"], COMPOSED["ref"]], ids=["oneOf", "$ref"])
def test_a_composed_answer(gateway, upstream, schema, profile):
    """The answer may have a composed schema, and the original one checks it."""
    shape = {"type": "json_schema", "json_schema": {"name": "pet", "schema": schema}}
    answer = '{"kind": "cat", "lives": 9}'
    asked = f"[[tool StructuredOutput {answer}]]" if profile == "agent" else f"[[json {answer}]]"
    body = {"messages": [{"role": "user", "content": asked}], "response_format": shape}
    headers, said = post(gateway, body, claude={"profile": profile})
    assert json.loads(said["content"]) == json.loads(answer)
    assert headers["x-adapted-params"] == "response_format.json_schema.schema"
    assert "must also match" in upstream.requests[-1].raw.decode()


def test_an_agents_answer_in_todays_json_schema(gateway, upstream):
    """An agent can answer in a schema with keywords that Claude Code does not know."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "pair": {"type": "array", "prefixItems": [{"type": "integer"}], "items": False},
            "id": {"$ref": "#id", "x-own": 1},
        },
        "patternProperties": {"^x": True},
        "unevaluatedProperties": False,
        "$defs": {"id": {"$anchor": "id", "type": "integer", "nullable": True}},
    }
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    answer = '{"pair": [1], "id": 2}'
    more = {"response_format": shape, "claude": {"profile": "agent"}}
    fits, other = (f"[[tool StructuredOutput {one}]]" for one in (answer, '{"pair": [1, 2]}'))
    headers, said = post(gateway, {"messages": [{"role": "user", "content": fits}]}, **more)
    assert said["content"] == answer
    assert headers["x-adapted-params"] == "response_format.json_schema.schema"
    headers, _ = post(gateway, {"messages": [{"role": "user", "content": other}]}, **more)
    assert headers["x-unmet-params"] == "response_format"
