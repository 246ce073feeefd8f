"""Errors below /messages have the shape of Anthropic's API, whoever raises them."""

import pytest
from flask import Flask

from tests.support.scripted_server import KEY, ScriptedServer, error_of
from wrapper import Gateway, errors
from wrapper.routes.dialects import ANTHROPIC, OPENAI, dialect_of
from wrapper.routes.json_body import BODY_BYTES
from wrapper.services.fronts.message_errors import error_body, error_status
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, answer

PATH = "/v1/messages"
BODY = {"model": "sonnet", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type)]
KINDS = [kind for kind in KINDS if issubclass(kind, errors.ApiError)]


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


@pytest.mark.parametrize("given", ["/ai/v1", "", "/ai/v1/", "/"])
def test_embedded(given):
    """In another app the shape follows from the prefix that the app has chosen."""
    prefix = given.rstrip("/")
    gateway = Gateway(Settings(), engine=ScriptedEngine(lambda turn: answer("Hello.")))
    app = Flask(__name__)
    gateway.init_app(app, given)
    client = app.test_client()
    message_error_of(client.post(f"{prefix}/messages/batches", json={}), 404)
    error_of(client.post(f"{prefix}/embeddings", json={}), 404)


def test_openai_keeps_its_headers():
    """Other APIs do not get Anthropic's name for the id."""
    assert "request-id" not in ScriptedServer().ask().headers


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_error(kind, stream):
    """An error before the answer begins has the status and the type of Anthropic's API."""
    server = ScriptedServer(kind("Why.", retry_after=7))
    response = server.post({**BODY, "stream": stream}, path=PATH)
    error = message_error_of(response, error_status(kind("Why.")))
    assert error == error_body(kind("Why."))["error"]
    assert response.headers["Retry-After"] == "7"


def test_crash():
    """An unexpected error is an api_error without details."""
    error = message_error_of(ScriptedServer(KeyError("a secret")).post(BODY, path=PATH), 500)
    assert error["type"] == "api_error"
    assert "secret" not in error["message"]


@pytest.mark.parametrize(
    ("data", "content_type", "status", "type_"),
    [
        ("{", "application/json", 400, "invalid_request_error"),
        ('{"model": "a", "model": "b"}', "application/json", 400, "invalid_request_error"),
        ("x", "text/plain", 415, "invalid_request_error"),
        (b" " * (BODY_BYTES + 1), "application/json", 413, "request_too_large"),
        ({**BODY, "model": "gpt-5"}, "application/json", 404, "not_found_error"),
        ({**BODY, "new": 1}, "application/json", 400, "invalid_request_error"),
    ],
    ids=["not JSON", "name twice", "not JSON's type", "too large", "model", "field"],
)
def test_bodies(data, content_type, status, type_):
    """What is wrong with a body is said in Anthropic's shape."""
    response = ScriptedServer().post(data, content_type, path=PATH)
    assert message_error_of(response, status)["type"] == type_


def test_wrong_method():
    """An unsupported method is a 405 in Anthropic's shape, with the supported ones."""
    response = ScriptedServer().client.get(PATH)
    assert message_error_of(response, 405)["type"] == "invalid_request_error"
    assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize("path", ["/", "/api/hello"])
def test_greetings_of_claude_code(path):
    """Claude Code first asks whether there is a server; a 404 is answer enough."""
    assert ScriptedServer().client.head(path).status_code == 404
