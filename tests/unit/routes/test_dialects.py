"""Errors below /messages have the shape of Anthropic's API, whoever raises them."""

import pytest
from flask import Flask

from tests.support.scripted_server import KEY, ScriptedServer, error_of
from wrapper import Gateway
from wrapper.routes.dialects import ANTHROPIC, OPENAI, dialect_of
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, answer

PATH = "/v1/messages"


def message_error_of(response, status):
    """Return the error of a response, after checking its status and Anthropic's shape."""
    assert response.status_code == status, response.data[:300]
    assert response.mimetype == "application/json"
    body = response.json
    assert set(body) == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert set(body["error"]) == {"type", "message"}
    assert body["error"]["message"]
    ids = {response.headers["request-id"], response.headers["x-request-id"]}
    assert ids == {body["request_id"]}
    return body["error"]


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/messages", ANTHROPIC),
        ("/v1/messages/count_tokens", ANTHROPIC),
        ("/v1/messages/batches/x", ANTHROPIC),
        ("/v1/messagesx", OPENAI),
        ("/v1/sessions/messages", OPENAI),
        ("/messages", OPENAI),
        ("", OPENAI),
    ],
)
def test_dialect_of_path(path, dialect):
    """The Messages API is what lies at or below /messages, after the prefix."""
    assert dialect_of(path, "/v1") is dialect


def test_missing_key():
    """The guard's refusal has Anthropic's shape, and says how to send a key."""
    response = ScriptedServer(api_key=KEY).client.post(PATH, json={})
    assert message_error_of(response, 401)["type"] == "authentication_error"
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_foreign_page():
    """A call from a foreign web page is refused in Anthropic's shape."""
    headers = {"Origin": "https://evil.example"}
    response = ScriptedServer().client.post(PATH, json={}, headers=headers)
    assert message_error_of(response, 403)["type"] == "permission_error"


@pytest.mark.parametrize("path", ["/v1/messages/nothing", "/messages/batches", "/v1/messages/a/b"])
def test_unknown_path(path):
    """A path below /messages that is not served is a 404 in Anthropic's shape."""
    error = message_error_of(ScriptedServer().client.post(path, json={}), 404)
    assert error["type"] == "not_found_error"
    assert path.removeprefix("/v1") in error["message"]


@pytest.mark.parametrize("prefix", ["/ai/v1", ""])
def test_embedded(prefix):
    """In another app the shape follows from the prefix that the app has chosen."""
    gateway = Gateway(Settings(), engine=ScriptedEngine(lambda turn: answer("Hello.")))
    app = Flask(__name__)
    gateway.init_app(app, prefix)
    client = app.test_client()
    message_error_of(client.post(f"{prefix}/messages/batches", json={}), 404)
    error_of(client.post(f"{prefix}/embeddings", json={}), 404)


def test_openai_keeps_its_headers():
    """Other APIs do not get Anthropic's name for the id."""
    assert "request-id" not in ScriptedServer().ask().headers
