"""Parts in Anthropic's form become the same as OpenAI's parts and messages."""

import base64
import json

import pytest

from tests.support.pictures import picture
from tests.support.scripted_server import USER, ScriptedServer, error_of
from wrapper.services.turn import Document, Image, Message, ToolCall, ToolResult

PDF = base64.b64encode(b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>").decode()
DATA = base64.b64encode(picture()).decode()
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}
TOOL_USE = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}, "cache_control": {}}
MESSAGES = [USER, {"role": "assistant", "content": [{"type": "text", "text": "So:"}, TOOL_USE]}]


def tool_result(*content):
    return {"type": "tool_result", "tool_use_id": "c", "content": list(content)}


def test_calls_and_results():
    """A tool_use, a tool_result with an image and a text become a call, a result and a text."""
    server = ScriptedServer()
    text = {"type": "text", "text": "Go on."}
    response = server.ask(
        messages=[*MESSAGES, {"role": "user", "content": [text, tool_result(IMAGE)]}]
    )
    assert response.status_code == 200, response.text
    turn = server.engine.turns[0]
    assert turn.profile == "plain"
    assert turn.messages[1:] == (
        Message("assistant", ("So:", ToolCall("c", "f", '{"a": 1}'))),
        Message("user", (ToolResult("c", (Image("image/png", DATA),)), "Go on.")),
    )
    assert "x-adapted-messages" not in response.headers


def test_broken_image():
    """A broken image in a result is refused by its path."""
    broken = {"type": "base64", "media_type": "image/png", "data": DATA[:-40]}
    content = [tool_result({"type": "image", "source": broken})]
    error = error_of(
        ScriptedServer().ask(messages=[*MESSAGES, {"role": "user", "content": content}]), 400
    )
    assert error["param"].startswith("messages.2.content.0.content.0")


def test_sessions():
    """A session returns such messages in a form that a client can send back."""
    server = ScriptedServer()
    messages = [
        *MESSAGES,
        {"role": "user", "content": [tool_result({"type": "text", "text": "1"})]},
    ]
    server.ask(messages=messages, session_id="s")
    returned = json.loads(server.client.get("/v1/sessions/s").data)["messages"]
    sent = [
        {key: value for key, value in message.items() if value is not None} for message in returned
    ]
    assert server.ask(messages=[*sent, USER]).status_code == 200


@pytest.mark.parametrize(
    ("source", "document"),
    [
        (
            {"type": "base64", "media_type": "application/pdf", "data": PDF},
            Document("application/pdf", PDF, "a"),
        ),
        (
            {"type": "text", "media_type": "text/plain", "data": "100 % ä"},
            Document("text/plain", "100 % ä", "a"),
        ),
    ],
)
def test_documents(source, document):
    """A document with inline data in Anthropic's form is a file; one with a URL is refused."""
    part = {"type": "document", "source": source, "title": "a"}
    server = ScriptedServer()
    server.ask(messages=[{"role": "user", "content": [part]}])
    assert server.engine.turns[0].messages[0].parts == (document,)
    message = {"role": "user", "content": [{**part, "source": {"type": "url", "url": "http://a"}}]}
    error = error_of(ScriptedServer().ask(messages=[message]), 400)
    assert error["param"] == "messages.0.content.0.source.type"
