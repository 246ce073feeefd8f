"""The input of a response: what each item becomes, and which items are refused."""

import json

import pytest

from tests.support.pictures import picture, uri
from tests.support.responses import HI, PATH, ask
from tests.support.scripted_server import ScriptedServer, error_of
from wrapper.services.messages.thinking_codec import dump_thinking
from wrapper.services.turn import Document, Image, Message, Thinking, ToolCall, ToolResult

CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "3"}
CUSTOM = {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": 'a "b"'}
CUSTOM_OUTPUT = {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"}


def turn_of(items, **fields):
    server = ScriptedServer()
    response = ask(server, input=items, claude={"profile": "plain"}, **fields)
    assert response.status_code == 200, response.json
    (turn,) = server.engine.turns
    return turn


def test_text():
    """A text is the user's message."""
    assert turn_of("Hello").messages == (Message("user", ("Hello",)),)


def test_system():
    """Instructions come first in the system prompt, then system and developer messages."""
    items = [
        {"role": "developer", "content": "two"},
        HI,
        {"role": "system", "content": "three"},
        HI,
    ]
    assert turn_of(items, instructions="one").system == "one\n\ntwo\n\nthree"


def test_messages():
    """A message may have a type or not, and its content may be a text or parts."""
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "b", "annotations": []}]},
        {"role": "assistant", "content": "c", "status": "completed", "id": "msg_1"},
        {"role": "user", "content": "d"},
    ]
    messages = turn_of(items).messages
    assert [(m.role, "".join(m.parts)) for m in messages] == [
        *(("user", "a"), ("assistant", "bc"), ("user", "d")),
    ]


def test_calls():
    """A call and its output become those of the conversation."""
    _, said, result = turn_of([HI, CALL, OUTPUT]).messages
    assert said.parts == (ToolCall("c1", "f", '{"a": 1}'),)
    assert result.parts == (ToolResult("c1", ("3",)),)


def test_custom_calls():
    """The input of a custom tool is the text of its function's argument."""
    _, said, result = turn_of([HI, CUSTOM, CUSTOM_OUTPUT]).messages
    assert said.parts == (ToolCall("c1", "patch", '{"input": "a \\"b\\""}'),)
    assert result.parts == (ToolResult("c1", ("done",)),)


def test_namespaces():
    """A call of a namespace's tool has both names upstream."""
    call = turn_of([HI, {**CALL, "namespace": "ns"}, OUTPUT]).messages[1].parts[0]
    assert call.name == "ns__f"


def test_images_and_files():
    """Images and files reach the model from messages and from the outputs of functions."""
    image = {"type": "input_image", "image_url": uri(picture()), "detail": "high"}
    file = {"type": "input_file", "file_data": "data:text/plain;base64,SGk=", "filename": "a.txt"}
    user = {"role": "user", "content": [image, file]}
    messages = turn_of([user, CALL, {**OUTPUT, "output": [image, file]}]).messages
    shown, read = messages[0].parts
    assert isinstance(shown, Image)
    assert read == Document("text/plain", "Hi", "a.txt")
    (result,) = messages[-1].parts
    assert result.parts == (shown, read)


def test_thinking():
    """Thinking that the gateway signed comes back in its place."""
    thought = Thinking("Hm.", "sig", "p")
    item = {"type": "reasoning", "summary": [], "encrypted_content": dump_thinking([thought])}
    _, said, _ = turn_of([HI, item, CALL, OUTPUT]).messages
    assert said.parts == (thought, ToolCall("c1", "f", '{"a": 1}'))


def test_much_thinking():
    """The thinking of all items is bounded, though none of them has too much."""
    thought = dump_thinking([Thinking("x" * 4_000_000, "sig")])
    item = {"type": "reasoning", "summary": [], "encrypted_content": thought}
    assert len(thought) < 6000
    error = error_of(ask(ScriptedServer(), input=[HI, *[item] * 10, HI]), 413)
    assert error["param"] == "input.9.encrypted_content"


def test_error_of_an_mcp_call():
    """The error of a call may have numbers that no double holds."""
    call = {
        "type": "mcp_call",
        "id": "mcp_1",
        "server_label": "docs",
        "name": "add",
        "arguments": "{}",
        "approval_request_id": "mcpr_1",
        "error": [0],
    }
    body = json.dumps({"input": [HI, call, HI], "claude": {"profile": "plain"}})
    server = ScriptedServer()
    response = server.post(body.replace("[0]", "[0.12345678901234567890]"), path=PATH)
    assert response.status_code == 200, response.json
    assert "0.12345678901234567890" in str(server.engine.turns[0].messages)


def refused(*items):
    return error_of(ask(ScriptedServer(), input=list(items)), 400)


@pytest.mark.parametrize(
    ("item", "param", "code"),
    [
        (3, "input.1", "invalid_type"),
        ({"role": "robot", "content": "a"}, "input.1.role", "invalid_value"),
        ({"role": "user"}, "input.1.content", "invalid_type"),
        ({"role": "user", "content": [3]}, "input.1.content.0", "invalid_type"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "input.1.content.0.type",
         "unsupported_value"),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "f"}]},
         "input.1.content.0.file_id", "unsupported_value"),
        ({"role": "user", "content": [{"type": "input_image", "image_url": "x"}]},
         "input.1.content.0.image_url", "invalid_image_url"),
        ({"role": "user", "content": [{"type": "input_file", "file_url": "http://a"}]},
         "input.1.content.0.file_url", "unsupported_value"),
        ({"role": "system", "content": [{"type": "input_image", "image_url": "x"}]},
         "input.1.content.0.type", "unsupported_value"),
        ({"type": "computer_call"}, "input.1.type", "unsupported_value"),
        ({"id": 3}, "input.1.id", "invalid_type"),
        ({"type": "item_reference"}, "input.1.id", "invalid_type"),
        ({**CALL, "call_id": ""}, "input.1.call_id", "invalid_type"),
        ({**CALL, "arguments": {}}, "input.1.arguments", "invalid_type"),
        ({**CALL, "namespace": 3}, "input.1.namespace", "invalid_type"),
        ({**CUSTOM, "input": None}, "input.1.input", "invalid_type"),
        (CALL, "input.1", "invalid_value"),
        (OUTPUT, "input.1.call_id", "invalid_value"),
        ({"type": "reasoning", "encrypted_content": "ccg1.x"}, "input.1.encrypted_content",
         "invalid_encrypted_content"),
    ],
)  # fmt: skip
def test_refused(item, param, code):
    """An item that cannot be sent is a 400 that names its path."""
    error = refused(HI, item)
    assert (error["param"], error["code"]) == (param, code)
    assert error["message"].startswith(param)


@pytest.mark.parametrize("value", [[], 3, None, {}])
def test_no_input(value):
    """An input is a text or a list with an item."""
    assert error_of(ask(ScriptedServer(), input=value), 400)["param"] == "input"


def test_late_refusal():
    """A fault that is found later is named by the item, too."""
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    error = refused(HI, {"role": "user", "content": [{"type": "input_text", "text": "a"}, image]})
    assert error["param"].startswith("input.1.content.1.image_url")
