"""Parts as Anthropic's API has them: they mean what OpenAI's parts and messages mean."""

import base64
import json

from tests.support.pictures import picture
from tests.support.scripted_server import USER, ScriptedServer, error_of
from wrapper.services.turn import Image, Message, ToolCall, ToolResult

DATA = base64.b64encode(picture()).decode()
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}
USE = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}, "cache_control": {}}
ASKED = [USER, {"role": "assistant", "content": [{"type": "text", "text": "So:"}, USE]}]


def used(*content):
    return {"type": "tool_result", "tool_use_id": "c", "content": list(content)}


def test_calls_and_results():
    """A call, its result with an image, and a question arrive as what they are."""
    server = ScriptedServer()
    text = {"type": "text", "text": "Go on."}
    response = server.ask(messages=[*ASKED, {"role": "user", "content": [text, used(IMAGE)]}])
    assert response.status_code == 200, response.text
    turn = server.engine.turns[0]
    assert turn.profile == "plain"
    assert turn.messages[1:] == (
        Message("assistant", ("So:", ToolCall("c", "f", '{"a": 1}'))),
        Message("user", (ToolResult("c", (Image("image/png", DATA),)), "Go on.")),
    )
    assert "x-adapted-messages" not in response.headers


def test_broken_image():
    """An image in a result is checked like any other, and named by its path."""
    broken = {"type": "base64", "media_type": "image/png", "data": DATA[:-40]}
    content = [used({"type": "image", "source": broken})]
    error = error_of(
        ScriptedServer().ask(messages=[*ASKED, {"role": "user", "content": content}]), 400
    )
    assert error["param"].startswith("messages.2.content.0.content.0")


def test_sessions():
    """A session tells of them so that a client can send them back."""
    server = ScriptedServer()
    asked = [*ASKED, {"role": "user", "content": [used({"type": "text", "text": "1"})]}]
    server.ask(messages=asked, session_id="s")
    told = json.loads(server.client.get("/v1/sessions/s").data)["messages"]
    sent = [{key: value for key, value in one.items() if value is not None} for one in told]
    assert server.ask(messages=[*sent, USER]).status_code == 200
