"""Cases of the Responses API: an input of each kind of item and part, and its direct request."""

from __future__ import annotations

from typing import Any

from tests.live.test_message_shapes import PDF, SAY, URL, image, result, text, use
from tests.live.test_parameters_upstream import IGNORED
from tests.support.direct_response import ResponseCase
from tests.support.pictures import noise, uri
from wrapper.schemas.responses.items import OMITTED, RESULT_PARTS, ROLES

QUESTION = {"role": "user", "content": "[[say fine]]"}
Blocks = list[tuple[str, list[Any]]]


def say(asked: str, direct=None, **sent: Any) -> ResponseCase:
    """Return the case of a text as input, with these parameters."""
    messages = {"messages": [("user", [text(asked)])]}
    return ResponseCase({"input": asked, **sent}, {**messages, **(direct or {})})


def items(*sent: Any, direct: Blocks, told: str = "", **more: Any) -> ResponseCase:
    """Return the case of an input of items. Its functions are offered with tool_choice none."""
    names = dict.fromkeys(b["name"] for _, blocks in direct for b in blocks if "input" in b)
    offered = [{"name": name, "input_schema": {"type": "object"}} for name in names]
    tools = {"tools": offered, "tool_choice": {"type": "none"}} if names else {}
    headers = {IGNORED: told} if told else {}
    return ResponseCase({"input": [*sent]}, {"messages": direct, **tools, **more}, headers)


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
        for kind in OMITTED
    },
}
