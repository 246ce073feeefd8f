"""Fidelity of the Responses API: requests and answers equal those of a direct caller.

As in test_fidelity: each case is a client's request and its direct request to the Messages API.
Through the real CLI the first must become the second, to the letter and once. The answer must be
the API's answer to the second, in the form of a response.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.live.test_fidelity import BUDGETS, NEWEST, OFFERED, SERIAL, as_answer, thinks
from tests.live.test_function_calls import ASKED, BASH, READ, WEATHER
from tests.live.test_golden import CLI_VERSION, settled
from tests.live.test_message_shapes import PDF, SAY, URL, image, result, text, use
from tests.live.test_parameters_upstream import CLAMPED, IGNORED
from tests.support import cli
from tests.support.direct_request import blocks_of, call
from tests.support.direct_response import ResponseCase, settled_response
from tests.support.pictures import noise, uri
from tests.support.server import MODEL
from tests.unit.schemas.responses.test_parameters import ASKS, REFUSED
from wrapper.schemas.parameters import Kind
from wrapper.schemas.responses.items import LOADERS as ITEM_LOADERS
from wrapper.schemas.responses.items import OMITTED as OMITTED_ITEMS
from wrapper.schemas.responses.items import RESULT_PARTS, ROLES
from wrapper.schemas.responses.parameters import PARAMETERS
from wrapper.schemas.responses.request import ENCRYPTED, HOSTED, SUMMARIES
from wrapper.schemas.responses.tools import LOADERS as TOOL_LOADERS
from wrapper.schemas.responses.tools import OMITTED as OMITTED_TOOLS

ADAPTED = "x-adapted-params"
QUESTION = {"role": "user", "content": "[[say fine]]"}
Blocks = list[tuple[str, list[Any]]]


def say(asked: str, direct=None, **sent: Any) -> ResponseCase:
    """Return the case of a text as input, with these parameters."""
    messages = {"messages": [("user", [text(asked)])]}
    return ResponseCase({"input": asked, **sent}, {**messages, **(direct or {})})


def plain(**sent: Any) -> ResponseCase:
    """Return the case of parameters that change nothing upstream."""
    return ResponseCase(sent)


def items(*sent: Any, direct: Blocks, told: str = "", **more: Any) -> ResponseCase:
    """Return the case of an input of items. Its functions are offered with tool_choice none."""
    names = dict.fromkeys(b["name"] for _, blocks in direct for b in blocks if "input" in b)
    offered = [{"name": name, "input_schema": {"type": "object"}} for name in names]
    tools = {"tools": offered, "tool_choice": {"type": "none"}} if names else {}
    headers = {IGNORED: told} if told else {}
    return ResponseCase({"input": [*sent]}, {"messages": direct, **tools, **more}, headers)


# --- The kinds of items and of content parts

PICTURE = noise("png")
FILE = {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"}
DOCUMENT = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
    "title": "a.pdf",
}
# Each kind of part, and the block that it becomes.
PARTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "input_text": ({"text": "in. "}, text("in. ")),
    "output_text": ({"text": "out. ", "annotations": [], "logprobs": []}, text("out. ")),
    "text": ({"text": "text. "}, text("text. ")),
    "refusal": ({"refusal": "I will not. "}, text("I will not. ")),
    "input_image": (
        {"image_url": uri(PICTURE), "detail": "high"},
        image(PICTURE),
    ),
    "input_file": (FILE, DOCUMENT),
}


def parts(kinds):
    return [{"type": kind, **PARTS[kind][0]} for kind in kinds]


def blocks(kinds):
    return [PARTS[kind][1] for kind in kinds]


def joined(kinds):
    return "".join(PARTS[kind][1]["text"] for kind in kinds)


def function_call(call_id, name="look", arguments="{}", **more):
    item = {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
    return {**item, **more}


def output(call_id, value, kind="function_call_output", **more):
    return {"type": kind, "call_id": call_id, "output": value, **more}


ASSISTANT = {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed"}
ITEMS: dict[str, ResponseCase] = {
    "a text": say("[[say fine]]"),
    "a message without a type": items(QUESTION, direct=[("user", [SAY])]),
    "parts of users and assistants": items(
        {"type": "message", "role": "user", "content": parts(ROLES["user"])},
        {**ASSISTANT, "content": parts(ROLES["assistant"])},
        QUESTION,
        direct=[
            ("user", blocks(ROLES["user"])),
            ("assistant", blocks(ROLES["assistant"])),
            ("user", [SAY]),
        ],
    ),
    "an image by its URL": items(
        {"role": "user", "content": [{"type": "input_image", "image_url": URL}, *parts(["text"])]},
        QUESTION,
        direct=[
            (
                "user",
                [{"type": "image", "source": {"type": "url", "url": URL}}, text("text. "), SAY],
            )
        ],
    ),
    "system messages": ResponseCase(
        {
            "instructions": "Be kind.",
            "input": [
                {"role": "system", "content": parts(ROLES["system"])},
                QUESTION,
                {"role": "assistant", "content": "fine"},
                {"type": "message", "role": "developer", "content": parts(ROLES["developer"])},
                QUESTION,
            ],
        },
        {
            "system": [
                f"Be kind.\n\n{joined(ROLES['system'])}\n\n{joined(ROLES['developer'])}",
            ],
            "messages": [("user", [SAY]), ("assistant", [text("fine")]), ("user", [SAY])],
        },
    ),
    "calls, and outputs in another order": items(
        QUESTION,
        {**ASSISTANT, "content": "Let me see."},
        function_call("call_1", arguments='{"at": ["ä", 1.5]}', id="fc_1", status="completed"),
        function_call("call_2", "wait", ""),
        output("call_2", ""),
        output("call_1", "a cat", id="fco_1", status="completed"),
        direct=[
            ("user", [SAY]),
            (
                "assistant",
                [
                    text("Let me see."),
                    use("call_1", "look", {"at": ["ä", 1.5]}),
                    use("call_2", "wait", {}),
                ],
            ),
            ("user", [result("call_2"), result("call_1", text("a cat"))]),
        ],
    ),
    "parts of outputs": items(
        QUESTION,
        function_call("call_1"),
        output("call_1", parts(RESULT_PARTS)),
        QUESTION,
        direct=[
            ("user", [SAY]),
            ("assistant", [use("call_1", "look", {})]),
            ("user", [result("call_1", *blocks(RESULT_PARTS)), SAY]),
        ],
    ),
    "custom and namespaced calls": items(
        QUESTION,
        {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": 'a "b"\n'},
        output("call_1", "done", "custom_tool_call_output"),
        function_call("call_2", "read", "{}", namespace="files"),
        output("call_2", "text"),
        direct=[
            ("user", [SAY]),
            ("assistant", [use("call_1", "patch", {"input": 'a "b"\n'})]),
            ("user", [result("call_1", text("done"))]),
            ("assistant", [use("call_2", "files__read", {})]),
            ("user", [result("call_2", text("text"))]),
        ],
    ),
    "a message between a call and its output": items(
        QUESTION,
        function_call("call_1"),
        QUESTION,
        output("call_1", "a cat"),
        direct=[
            ("user", [SAY]),
            ("assistant", [use("call_1", "look", {})]),
            ("user", [result("call_1", text("a cat")), SAY]),
        ],
    ),
    "another gateway's reasoning": items(
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
        QUESTION,
        direct=[("user", [SAY])],
        told="input.0.encrypted_content",
    ),
    **{
        kind: items({"type": kind}, QUESTION, direct=[("user", [SAY])], told="input.0")
        for kind in OMITTED_ITEMS
    },
}

# --- The kinds of tools

PATCH = {"type": "custom", "name": "patch", "description": "Applies a patch."}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
FUNCTIONS = [{"type": "function", **function} for function in (WEATHER, READ, BASH)]
SPACE = {"type": "namespace", "name": "files", "description": "Files.", "tools": [FUNCTIONS[1]]}
ONE_TEXT = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}
PATCHES = {"name": "patch", "description": "Applies a patch.", "input_schema": ONE_TEXT}
SPACED = {**OFFERED[1], "name": "files__Read"}
CUSTOM = {"patch": {"type": "custom_tool_call", "name": "patch"}}
NAMESPACED = {"files__Read": {"name": "Read", "namespace": "files"}}
SEVERAL = f'[[first Let me see.]] {ASKED} [[tool Read]] [[tool Bash {{"a": [1]}}]] [[together]]'


def offers(asked, tools, offered, *, calls=None, told=None, kept=None) -> ResponseCase:
    """Return the case of *tools*, for which the model is *offered* functions."""
    sent = {"input": asked, "tools": tools}
    direct = {"messages": [("user", [text(asked)])], "tools": offered}
    repeated = {"tools": tools if kept is None else kept}
    return ResponseCase(sent, direct, told or {}, None, repeated, calls or {})


TOOLS: dict[str, list[ResponseCase]] = {
    "function": [offers(asked, FUNCTIONS, OFFERED) for asked in (SEVERAL, "[[say no]]", ASKED)],
    "custom": [
        offers('[[tool patch {"input": "a \\"b\\"\\nü"}]]', [PATCH], [PATCHES], calls=CUSTOM),
        offers(
            "[[say no]]",
            [{**PATCH, "format": GRAMMAR}],
            [
                {
                    **PATCHES,
                    "description": "Applies a patch.\n\n"
                    "Its input must follow this lark grammar:\nstart: /x/",
                }
            ],
            told={ADAPTED: "tools.0.format"},
        ),
    ],
    "namespace": [
        offers(
            "[[tool files__Read]]", [FUNCTIONS[0], SPACE], [OFFERED[0], SPACED], calls=NAMESPACED
        )
    ],
    **{
        kind: [
            offers(
                "[[say no]]",
                [{"type": kind}, FUNCTIONS[0]],
                OFFERED[:1],
                told={IGNORED: "tools.0"},
                kept=FUNCTIONS[:1],
            )
        ]
        for kind in OMITTED_TOOLS
    },
}

# --- The parameters

TRIP = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT = {"type": "json_schema", "name": "trip", "schema": TRIP}
FITS = '[[json {"city": "Zürich"}]]'
THINK = "[[think Let me see.]] [[redact Hm.]] [[say Yes.]]"
FORCED = {"type": "tool", "name": "Read"}


def choice(asked, sent, parallel=None, offered=OFFERED) -> ResponseCase:
    """Return the case of a tool_choice, with parallel_tool_calls."""
    direct = {"tools": offered, **({"tool_choice": sent} if sent else {})}
    more = {"tool_choice": asked, "parallel_tool_calls": parallel}
    return say("hello", direct, tools=FUNCTIONS, **more)


def chosen(*tools, mode):
    return {"type": "allowed_tools", "mode": mode, "tools": [*tools]}


def formatted(form, tool, **more) -> ResponseCase:
    """Return the case of a structured answer."""
    asked = {"input": FITS, "text": {"format": form}, **more}
    direct = {
        "messages": [("user", [text(FITS)])],
        "tools": [tool],
        "tool_choice": {"type": "tool", "name": tool["name"]},
    }
    return ResponseCase(asked, direct, answer=tool["name"], repeated={"text": asked["text"]})


def reasons(direct, *, told=None, **reasoning) -> ResponseCase:
    """Return the case of `reasoning`, in which the model thinks."""
    sent = {"input": THINK, "reasoning": reasoning}
    effort = {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")}
    messages = {"messages": [("user", [text(THINK)])], **direct}
    return ResponseCase(sent, messages, told or {}, repeated={"reasoning": effort})


NAMED = {"type": "function", "name": "Read"}
PATCHED = {"type": "custom", "name": "patch"}
HONOURED: dict[str, list[ResponseCase]] = {
    "model": [
        ResponseCase({"model": "claude-haiku-4-5"}, {"model": "claude-haiku-4-5"}),
        ResponseCase({"model": "sonnet"}, NEWEST),
    ],
    "input": [*ITEMS.values()],
    "instructions": [ResponseCase({"instructions": "Be kind."}, {"system": ["Be kind."]})],
    "stream": [plain(stream=True), plain(stream=False)],
    "max_output_tokens": [
        ResponseCase({"max_output_tokens": 7}, {"max_tokens": 7}),
        say("[[deltas 3]] [[stop max_tokens]]", {"max_tokens": 3}, max_output_tokens=3),
    ],
    "temperature": [
        *(ResponseCase({"temperature": t}, {"temperature": t}) for t in (0, 0.5, 1)),
        ResponseCase({"temperature": 1.2}, {"temperature": 1}, {CLAMPED: "temperature"}),
    ],
    "top_p": [
        ResponseCase({"top_p": 0.5}, {"top_p": 0.5}),
        plain(top_p=1),
    ],
    "reasoning": [
        *(reasons(thinks(BUDGETS["low"]), effort="low", summary=each) for each in SUMMARIES),
        reasons(thinks(BUDGETS["low"]), effort="low", generate_summary="auto"),
        *(reasons(thinks(budget), effort=effort) for effort, budget in BUDGETS.items()),
        reasons({}, effort="none"),
        reasons({}, mode="standard", context="auto"),
        reasons({}, context="all", told={IGNORED: "reasoning.context"}),
    ],
    "text": [
        plain(text={"format": {"type": "text"}}),
        formatted(FORMAT, as_answer("trip", TRIP)),
        formatted({"type": "json_object"}, as_answer("json_object", {"type": "object"})),
        ResponseCase(
            {"text": {"verbosity": "low"}},
            told={IGNORED: "text.verbosity"},
            repeated={"text": {"format": {"type": "text"}, "verbosity": "low"}},
        ),
    ],
    "tools": [case for cases in TOOLS.values() for case in cases],
    "tool_choice": [
        choice("auto", None),
        choice("none", {"type": "none"}),
        choice("required", {"type": "any"}),
        choice(NAMED, FORCED),
        choice(chosen(NAMED, mode="auto"), None, offered=OFFERED[1:2]),
        choice(chosen(NAMED, mode="required"), {"type": "any"}, offered=OFFERED[1:2]),
        ResponseCase(
            {"tools": [PATCH, SPACE], "tool_choice": PATCHED, "input": "hello"},
            {
                "messages": [("user", [text("hello")])],
                "tools": [PATCHES, SPACED],
                "tool_choice": {"type": "tool", "name": "patch"},
            },
            calls=CUSTOM,
        ),
        ResponseCase(
            {"tools": [SPACE], "tool_choice": {**NAMED, "namespace": "files"}, "input": "hello"},
            {
                "messages": [("user", [text("hello")])],
                "tools": [SPACED],
                "tool_choice": {"type": "tool", "name": "files__Read"},
            },
            calls=NAMESPACED,
        ),
    ],
    "parallel_tool_calls": [
        choice("auto", None, True),
        choice("auto", {"type": "auto", **SERIAL}, False),
        choice(NAMED, {**FORCED, **SERIAL}, False),
    ],
    "metadata": [plain(metadata={"a": "b"}), plain(metadata={})],
    "include": [
        ResponseCase(
            {
                "input": THINK,
                "include": [ENCRYPTED],
                "reasoning": {"effort": "low", "summary": "auto"},
            },
            {"messages": [("user", [text(THINK)])], **thinks(BUDGETS["low"])},
            repeated={"reasoning": {"effort": "low", "summary": "auto"}},
        ),
        plain(include=[*HOSTED]),
        ResponseCase({"include": [ENCRYPTED, "a.b"]}, told={IGNORED: "include.1"}),
    ],
    "store": [plain(store=True), plain(store=False)],
    "claude": [plain(claude={}), plain(claude={"profile": "plain", "show_tool_use": True})],
}
IDLE = {
    name: [ResponseCase({name: ASKS[name]}, told={IGNORED: name})]
    for name in PARAMETERS.of(Kind.IGNORED)
}
NEUTRAL = [plain(**{name: None for name in PARAMETERS if name not in ("model", "input")})]
ANSWERS = [
    say("[[deltas 3]] [[stop refusal]]"),
    say(
        '[[say Hi]] [[usage {"input_tokens": 7, "cache_read_input_tokens": 30, '
        '"cache_creation_input_tokens": 5}]]'
    ),
]


def runs():
    """Yield each case whole, and the first one of each parameter and kind streamed, too.

    Only what is streamed is not thorough.
    """
    tables = {**HONOURED, **{f"input, {name}": [case] for name, case in ITEMS.items()}}
    tables |= {f"tools, {kind}": cases for kind, cases in TOOLS.items()}
    del tables["input"], tables["tools"]
    for name, cases in {**tables, "nothing": NEUTRAL, "answers": ANSWERS, **IDLE}.items():
        for number, case in enumerate(cases):
            yield pytest.param(case, False, id=f"{name}-{number}", marks=pytest.mark.thorough)
        if name not in IDLE:
            yield pytest.param(cases[0], True, id=f"{name}-stream")


def ask(gateway, case, *, stream=False):
    """Return the headers of the answer to the case, and the response."""
    body = {"model": MODEL, "input": "[[say fine]]", "stream": stream, **case.sent}
    body["claude"] = {"profile": "plain", **(body.get("claude") or {})}
    status, headers, data = gateway.call("POST", "/v1/responses", body)
    assert status == 200, data
    return headers, final(data) if body["stream"] else json.loads(data)


def final(data: bytes):
    """Return the response at the end of a stream, whose items are those that were done before."""
    lines = [line for line in data.decode().splitlines() if line.startswith("data: ")]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    response = events[-1]["response"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert response["output"] == done
    assert events[-1]["type"] == f"response.{response['status']}"
    assert events[0]["response"].keys() == response.keys() - {"notes"}
    return response


def told(headers):
    return {name: headers[name] for name in (IGNORED, CLAMPED, ADAPTED) if name in headers}


@pytest.fixture(scope="module", autouse=True)
def _the_version_that_was_read():
    if cli.version() != CLI_VERSION:
        cli.missing(f"Claude Code {CLI_VERSION}, whose own part of a request OWN is")


def check(gateway, upstream, case, *, stream=False):
    """Fail unless the request arrives as the direct one, and the answer is the API's."""
    headers, response = ask(gateway, case, stream=stream)
    assert told(headers) == case.told
    body = case.body()
    assert [settled(request.body) for request in upstream.requests] == [body]
    response = {name: value for name, value in response.items() if name != "notes"}
    assert settled_response(response) == case.response(call(upstream.url, body))


@pytest.mark.parametrize(("case", "stream"), list(runs()))
def test_fidelity(gateway, upstream, case, stream):
    """The request arrives as the direct one, and the answer is the API's."""
    check(gateway, upstream, case, stream=stream)


@pytest.mark.parametrize("thinking", [thinks(BUDGETS["medium"]), NEWEST], ids=["budget", "newest"])
def test_reasoning_returns(gateway, upstream, thinking):
    """Reasoning goes back to the model as it was, signed, before the calls that it led to."""
    asked = {"role": "user", "content": f"[[think Let me see.]] [[redact Hm.]] {ASKED} [[say So.]]"}
    fields = {
        "model": thinking.get("model", MODEL),
        "tools": FUNCTIONS[:1],
        "reasoning": {"effort": "medium"},
        "include": [ENCRYPTED],
    }
    _, response = ask(gateway, ResponseCase({"input": [asked], **fields}))
    (sent,) = upstream.requests
    spoken = signed_blocks(call(upstream.url, sent.body))
    upstream.clear()
    answered = output(spoken[-1]["id"], "Sunny.")
    case = ResponseCase(
        {"input": [asked, *response["output"], answered], **fields},
        {
            "messages": [
                ("user", [text(asked["content"])]),
                ("assistant", spoken),
                ("user", [result(spoken[-1]["id"], text("Sunny."))]),
            ],
            "tools": OFFERED[:1],
            **thinking,
        },
        repeated={"reasoning": {"effort": "medium", "summary": None}},
    )
    check(gateway, upstream, case)


def signed_blocks(events):
    """Return the blocks of the API's answer, as they must be sent back."""
    thinking, redacted, called = blocks_of(events)
    (signature,) = [e["delta"]["signature"] for e in events if "signature" in e.get("delta", {})]
    return [
        {"type": "thinking", "thinking": thinking["said"], "signature": signature},
        {"type": "redacted_thinking", "data": redacted["data"]},
        use(called["id"], called["name"], json.loads(called["said"])),
    ]


def by_response(asked, response):
    return {"previous_response_id": response["id"]}, []


def by_items(asked, response):
    references = [{"type": "item_reference", "id": item["id"]} for item in response["output"]]
    return {}, [asked, references[0], {"id": references[1]["id"]}]


@pytest.mark.parametrize("refer", [by_response, by_items])
def test_stored_items(gateway, upstream, refer):
    """A request that refers to what is stored arrives like one that sends all of it again."""
    asked = {"role": "user", "content": f"[[first Let me see.]] {ASKED} [[say Sunny.]]"}
    first = ResponseCase({"input": [asked], "instructions": "Be kind.", "tools": FUNCTIONS[:1]})
    _, response = ask(gateway, first)
    upstream.clear()
    called = response["output"][1]["call_id"]
    more, before = refer(asked, response)
    case = ResponseCase(
        {"input": [*before, output(called, "Sun.")], "tools": FUNCTIONS[:1], **more},
        {
            "messages": [
                ("user", [text(asked["content"])]),
                (
                    "assistant",
                    [
                        text("Let me see."),
                        use(called, "get_weather", {"city": "Zürich", "days": 2}),
                    ],
                ),
                ("user", [result(called, text("Sun."))]),
            ],
            "tools": OFFERED[:1],
        },
        repeated=more,
    )
    check(gateway, upstream, case)


@pytest.mark.parametrize("name", PARAMETERS.of(Kind.REFUSED))
def test_refused(gateway, upstream, name):
    """A parameter that the API cannot get is refused by name, and the model is not asked."""
    body = {"model": MODEL, "input": "hello", name: REFUSED[name]}
    status, _, data = gateway.call("POST", "/v1/responses", body)
    assert (status, json.loads(data)["error"]["param"]) == (400, name)
    assert upstream.requests == []


def test_every_parameter_has_a_case():
    """Every parameter in the table has a case here; test_stored_items has that of one."""
    assert {*HONOURED, "previous_response_id"} == set(PARAMETERS.of(Kind.HONOURED))
    assert all([*HONOURED.values(), *IDLE.values()])
    assert all(name in case.sent for name, cases in HONOURED.items() for case in cases)


def test_every_kind_of_item_has_a_case():
    """Every kind of item, and of part in each role and in outputs, has a case here.

    That of item_reference is test_stored_items.
    """
    sent = [
        item
        for case in ITEMS.values()
        if not isinstance(case.sent["input"], str)
        for item in case.sent["input"]
    ]
    assert {item.get("type", "message") for item in sent} == {*ITEM_LOADERS, *OMITTED_ITEMS}
    found = {
        (item.get("role", "output"), part["type"])
        for item in sent
        for name in ("content", "output")
        if isinstance(item.get(name), list)
        for part in item[name]
    }
    kinds = {**ROLES, "output": RESULT_PARTS}
    assert found == {(role, kind) for role, each in kinds.items() for kind in each}


def test_every_kind_of_tool_has_a_case():
    """Every kind of tool has a case here."""
    assert set(TOOLS) == {*TOOL_LOADERS, *OMITTED_TOOLS}
