"""POST /v1/chat/completions: what a request becomes, and what its answer holds."""

import logging

import pytest

from tests.support.pictures import part, picture, uri
from tests.support.scripted_server import (
    DONE,
    HOUR,
    USER,
    ScriptedServer,
    error_of,
)
from wrapper import errors
from wrapper.services.events import Ended, Ending, Started, TextDelta
from wrapper.services.spent import Usage
from wrapper.services.turn import Permissions

pytestmark = pytest.mark.packages


@pytest.fixture(scope="module")
def shared():
    """A server that runs no turn, as all requests are refused."""
    return ScriptedServer()


def test_completion():
    """A request gets a whole answer, with its cost in a header."""
    server = ScriptedServer()
    response = server.ask(model="opus", claude={"profile": "plain"})
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    assert response.json["object"] == "chat.completion"
    assert response.json["id"].startswith("chatcmpl-")
    assert response.json["choices"][0]["message"]["content"] == "Hello."
    assert response.headers["x-cost-usd"] == "0.001000000"
    (turn,) = server.engine.turns
    assert (turn.model, turn.profile, turn.messages[0].parts) == ("opus", "plain", ("Hi",))


def test_default_model_and_profile():
    """A request that names no model or profile gets the defaults of the settings."""
    server = ScriptedServer(default_model="haiku", default_profile="plain")
    server.ask()
    assert (server.engine.turns[0].model, server.engine.turns[0].profile) == ("haiku", "plain")


def test_unknown_cost():
    """An unknown cost is null, and has no header."""
    response = ScriptedServer(Started("m"), TextDelta("a"), Ended(Ending.DONE, Usage(), None)).ask()
    assert "x-cost-usd" not in response.headers
    assert response.json["usage"]["cost_usd"] is None


def test_ids_are_unique():
    """Each answer has an id of its own."""
    server = ScriptedServer()
    assert server.ask().json["id"] != server.ask().json["id"]


def test_several_choices():
    """Each choice is a separate turn, and the usage is the sum of all."""
    server = ScriptedServer()
    body = server.ask(n=3).json
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert len(server.engine.turns) == 3
    assert body["usage"]["prompt_tokens"] == 9


@pytest.mark.parametrize("text", ["h\u00e9llo \U0001f600", "a\u2028b\u0085c\n", '"\\'])
def test_any_unicode_text(text):
    """Any Unicode text passes unchanged in both directions, whole and streamed."""
    server = ScriptedServer(Started("m"), TextDelta(text), DONE)
    assert server.ask().json["choices"][0]["message"]["content"] == text
    assert server.stream()[1]["choices"][0]["delta"] == {"content": text}
    server.ask(messages=[{"role": "user", "content": text}])
    assert server.engine.turns[-1].messages[0].parts == (text,)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "*/*"])
def test_accept_does_not_matter(accept):
    """The body decides whether an answer is streamed, never the Accept header."""
    server = ScriptedServer()
    assert server.ask(headers={"Accept": accept}).mimetype == "application/json"
    streamed = server.ask(headers={"Accept": accept}, stream=True)
    assert streamed.mimetype == "text/event-stream"


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"messages": "Hi"}, "messages", "invalid_type"),
        ({"messages": ["Hi"]}, "messages.0", "invalid_type"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages.0.role", "invalid_value"),
        ({"messages": [USER, {"role": 7, "content": "a"}]}, "messages.1.role", "invalid_type"),
        ({"messages": [{"content": "a"}]}, "messages.0.role", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]},
            "messages.0.content.0.text",
            "invalid_type",
        ),
        ({"model": ""}, "model", "invalid_value"),
        ({"stream": 1}, "stream", "invalid_type"),
        ({"n": 0}, "n", "invalid_value"),
        ({"tools": [{"type": "custom"}]}, "tools.0.type", "invalid_value"),
        ({"claude": {"profile": "x"}}, "claude.profile", "invalid_value"),
        ({"reasoning_effort": "low", "top_p": 0.5}, "top_p", "unsupported_value"),
        ({"temperature": 10**400}, "temperature", "invalid_value"),
    ],
    ids=lambda value: repr(value)[:40],
)
@pytest.mark.parametrize("stream", [False, True])
def test_bad_requests(shared, fields, param, code, stream):
    """An invalid field is refused with its path before any turn runs, streamed or not."""
    error = error_of(shared.ask(**{"stream": stream, **fields}), 400)
    assert (error["param"], error["code"]) == (param, code)
    assert param in error["message"]
    assert shared.engine.turns == []


@pytest.mark.parametrize("stream", [False, True])
def test_error_after_text(stream):
    """An error in the middle of a whole answer is an error status, without the text so far."""
    server = ScriptedServer(Started("m"), TextDelta("Half"), errors.Overloaded("Busy."))
    if stream:
        assert server.stream()[-1] == errors.Overloaded("Busy.").body()
    else:
        assert error_of(server.ask(), 503)["message"] == "Busy."
    assert server.engine.running == 0


def test_time_limit():
    """A turn that exceeds its time limit is cancelled, with 504 and no retry."""
    server = ScriptedServer(0.01, Started("m"), HOUR, max_timeout=1)
    response = server.ask()
    assert error_of(response, 504)["code"] == "timeout"
    assert response.headers["x-should-retry"] == "false"
    assert server.engine.running == 0


def test_more_choices_than_capacity():
    """More choices than the capacity are a 400 that names n, and no turn runs."""
    server = ScriptedServer(max_concurrent_turns=2)
    error = error_of(server.ask(n=3), 400)
    assert (error["param"], "MAX_CONCURRENT_TURNS" in error["message"]) == ("n", True)
    assert server.engine.turns == []


def with_images(*parts, **fields):
    return {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Look"}, *parts]}]
    } | fields


@pytest.mark.parametrize("stream", [False, True])
def test_resized_images(stream):
    """Images that reach the model in a smaller size are named in a header by their paths."""
    small, large = part(picture("png", 1000, 2)), part(picture("jpeg", 1001, 2), "jpeg")
    response = ScriptedServer().ask(**with_images(large, small, large), stream=stream)
    assert response.status_code == 200
    names = response.headers["x-resized-images"]
    assert names == "messages.0.content.1, messages.0.content.3"
    assert (
        "x-resized-images" not in ScriptedServer().ask(**with_images(small), stream=stream).headers
    )


def test_strict_images():
    """With STRICT_PARAMS an image that would be resized is refused by its path."""
    server = ScriptedServer(strict_params=True)
    assert server.ask(**with_images(part(picture("png", 1000, 2)))).status_code == 200
    error = error_of(server.ask(**with_images(part(picture("png", 1001, 2)))), 400)
    assert (error["param"], error["code"]) == ("messages.0.content.1", "invalid_image")
    assert len(server.engine.turns) == 1


def test_broken_images():
    """A broken image is refused, and no turn runs."""
    server = ScriptedServer()
    error = error_of(server.ask(**with_images(part(picture()[:-20]))), 400)
    path = "messages.0.content.1.image_url.url"
    assert (error["param"], error["code"]) == (path, "invalid_image")
    assert server.engine.turns == []


def test_logged_images(caplog):
    """The log of prompts records an image's type, not its data."""
    caplog.set_level(logging.INFO)
    url = uri(picture())
    ScriptedServer(log_prompts=True).ask(
        **with_images({"type": "image_url", "image_url": {"url": url}})
    )
    logged = str([vars(record) for record in caplog.records])
    assert "image/png" in logged
    assert url[-40:] not in logged


def test_claude_options():
    """The options in `claude` reach the engine; null counts as absent."""
    server = ScriptedServer()
    options = {
        "allowed_tools": ["Read", "Bash"],
        "disallowed_tools": ["Bash(rm:*)"],
        "permission_mode": "plan",
        "max_turns": 3,
    }
    assert server.ask(claude=options).status_code == 200
    permissions = server.engine.turns[0].permissions
    assert (permissions.mode, permissions.max_turns) == ("plan", 3)
    assert "Write" in permissions.deny
    assert "Read" not in permissions.deny
    assert server.ask(claude=dict.fromkeys(options)).status_code == 200
    assert server.engine.turns[1].permissions == Permissions()


@pytest.mark.parametrize(
    ("claude", "param"),
    [
        ({"allowed_tools": "Read"}, "claude.allowed_tools"),
        ({"allowed_tools": [5]}, "claude.allowed_tools.0"),
        ({"disallowed_tools": {}}, "claude.disallowed_tools"),
        ({"disallowed_tools": ["nothing"]}, "claude.disallowed_tools.0"),
        ({"permission_mode": "yolo"}, "claude.permission_mode"),
        ({"mcp_servers": "docs"}, "claude.mcp_servers"),
        ({"mcp_servers": [5]}, "claude.mcp_servers.0"),
        ({"mcp_servers": ["docs"]}, "claude.mcp_servers.0"),
        ({"max_turns": 0}, "claude.max_turns"),
        ({"max_turns": "3"}, "claude.max_turns"),
        ({"max_turn": 3}, "claude.max_turn"),
        ({"profile": "plain", "allowed_tools": ["Read"]}, "claude.allowed_tools"),
    ],
)
def test_invalid_claude_options(claude, param):
    """An invalid option in `claude` is refused by its path."""
    assert error_of(ScriptedServer().ask(claude=claude), 400)["param"] == param
