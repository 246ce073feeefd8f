"""Paths of OpenAI's API that the gateway does not serve: each error names an alternative."""

import pytest
from flask import Flask

from tests.support.scripted_server import KEY, ScriptedServer, open_with_key
from wrapper import Gateway
from wrapper.routes.unserved import METHODS, UNSERVED, UNSERVED_MESSAGES
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

EXAMPLES = {
    "audio": "audio/transcriptions",
    "images": "images/generations",
    "uploads": "uploads/upload_1/parts",
    "threads": "threads/t/runs",
}
CLAUDE_LACKS = ("embeddings", "audio", "images", "videos", "moderations", "realtime")


@pytest.fixture(scope="module")
def server():
    return ScriptedServer(api_key=KEY)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("resource", UNSERVED)
def test_unserved(server, resource, method):
    """A path of OpenAI's that is not served is a 404 with the reason, once the key is checked."""
    path = f"/v1/{EXAMPLES.get(resource, resource)}"
    for variant in (path, f"{path}/", path.removeprefix("/v1"), f"/v1{path}"):
        response = open_with_key(server, variant, method)
        error = response.json["error"]
        assert (response.status_code, error["code"]) == (404, "unknown_url")
        assert f"{method} {path}. " in error["message"]
        assert ("Claude" in error["message"]) or ("This gateway" in error["message"])
        assert open_with_key(server, variant, method, key="wrong").status_code == 401


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("resource", UNSERVED_MESSAGES)
def test_unserved_messages(server, resource, method):
    """A path below /messages that is not served is a 404 with the reason and an alternative."""
    for path in (f"/v1/messages/{resource}", f"/messages/{resource}", f"/v1/messages/{resource}/x"):
        response = open_with_key(server, path, method)
        error = response.json["error"]
        assert (response.status_code, error["type"]) == (404, "not_found_error")
        assert "/v1/messages" in error["message"].partition(". ")[2]
        assert open_with_key(server, path, method, key="wrong").status_code == 401


@pytest.mark.parametrize("resource", sorted(set(UNSERVED) - {"embeddings", "videos"}))
def test_alternative(server, resource):
    """The error names the path to use instead."""
    assert (
        "/v1/chat/completions" in open_with_key(server, f"/v1/{resource}").json["error"]["message"]
    )


@pytest.mark.parametrize("resource", CLAUDE_LACKS)
def test_what_claude_lacks(server, resource):
    """The error for something that Claude itself cannot do says so."""
    assert "Claude " in open_with_key(server, f"/v1/{resource}").json["error"]["message"]


def test_unknown_path(server):
    """Any other path is a 404 that names the path of chat completions."""
    response = open_with_key(server, "/api/v1/chat/completions")
    assert response.status_code == 404
    assert "POST /v1/chat/completions" in response.json["error"]["message"]


def test_not_documented(server):
    """The OpenAPI document omits paths that are not served."""
    document = server.client.get("/openapi.json").get_json()
    assert not any("resource" in path or "embeddings" in path for path in document["paths"])


@pytest.mark.parametrize("gateway_first", [True, False])
def test_another_app(gateway_first):
    """In another app its own pages are unaffected, and errors name the app's prefix."""
    app, gateway = Flask(__name__), Gateway(Settings(), engine=ScriptedEngine())
    if gateway_first:
        gateway.init_app(app, "/ai")
    app.add_url_rule("/embeddings", "own", lambda: "own")
    app.add_url_rule("/ai/embeddings", "beside", lambda: "beside")
    app.add_url_rule("/chat/completions/", "slash", lambda: "slash")
    if not gateway_first:
        gateway.init_app(app, "/ai")
    client = app.test_client()
    assert client.get("/embeddings").text == "own"
    assert client.get("/ai/embeddings").text == "beside"
    assert client.get("/chat/completions/").text == "slash"
    assert "use /ai/chat/completions" in client.post("/ai/uploads").text
    assert client.get("/images").mimetype == "text/html"
