"""Fidelity of the Responses API: requests and answers equal those of a direct caller.

As in test_fidelity: each case is a client's request and its direct request to the Messages API.
Through the real CLI the first must become the second, to the letter and once. The answer must be
the API's answer to the second, in the form of a response.
"""

from __future__ import annotations

import json

import pytest

from tests.live.test_fidelity import BUDGETS, NEWEST, OFFERED, thinks
from tests.live.test_function_calls import ASKED
from tests.live.test_message_shapes import result, text, use
from tests.live.test_parameters_upstream import CLAMPED, IGNORED
from tests.support.direct_request import blocks_of, call
from tests.support.direct_response import ResponseCase, settled_response
from tests.support.normalised import normalised
from tests.support.response_cases import ADAPTED, ANSWERS, FUNCTIONS, HONOURED, IDLE, NEUTRAL, TOOLS
from tests.support.response_item_cases import ITEMS, output
from tests.support.server import MODEL
from tests.unit.schemas.responses.test_response_parameters import REFUSED
from wrapper.schemas.parameters import Kind
from wrapper.schemas.responses import items, tools
from wrapper.schemas.responses.parameters import PARAMETERS
from wrapper.schemas.responses.request import ENCRYPTED

pytestmark = pytest.mark.clis


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


def losses(headers):
    return {name: headers[name] for name in (IGNORED, CLAMPED, ADAPTED) if name in headers}


def check(gateway, upstream, case, *, stream=False):
    """Fail unless the request arrives as the direct one, and the answer is the API's."""
    headers, response = ask(gateway, case, stream=stream)
    assert losses(headers) == case.told
    body = case.body()
    assert [normalised(request.body) for request in upstream.requests] == [body]
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
    """Every parameter has a case here, or in test_stored_items or test_background_responses."""
    assert {*HONOURED, "previous_response_id", "background"} == set(PARAMETERS.of(Kind.HONOURED))
    assert all([*HONOURED.values(), *IDLE.values()])
    assert all(name in case.sent for name, cases in HONOURED.items() for case in cases)


def test_every_kind_of_item_has_a_case():
    """Every kind of item, and of part in each role and in outputs, has a case here.

    That of item_reference is test_stored_items. Agents alone have calls of MCP servers' tools and
    their approvals: their cases are in test_response_approvals.
    """
    of_agents = {kind for kind in items.LOADERS if kind.startswith("mcp_")}
    sent = [
        item
        for case in ITEMS.values()
        if not isinstance(case.sent["input"], str)
        for item in case.sent["input"]
    ]
    assert {item.get("type", "message") for item in sent} == {
        *items.LOADERS,
        *items.OMITTED,
    } - of_agents
    sent_parts = {
        (item.get("role", "output"), part["type"])
        for item in sent
        for name in ("content", "output")
        if isinstance(item.get(name), list)
        for part in item[name]
    }
    kinds = {**items.ROLES, "output": items.RESULT_PARTS}
    assert sent_parts == {(role, kind) for role, each in kinds.items() for kind in each}


def test_every_kind_of_tool_has_a_case():
    """Every kind of tool has a case here, except for mcp: agents alone have that.

    Its cases are in test_brought_servers.
    """
    assert set(TOOLS) == {*tools.LOADERS, *tools.OMITTED}
