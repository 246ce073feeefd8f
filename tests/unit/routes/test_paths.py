"""Paths that clients with a slightly wrong base URL request."""

import pytest
from flask import Flask

from tests.support.scripted_server import CHAT_BODY, KEY, ScriptedServer, error_of
from wrapper import Gateway
from wrapper.routes.paths import PathCorrection
from wrapper.routes.unserved import METHODS, UNSERVED
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

CHAT_PATHS = [
    *("/v1/chat/completions/", "/chat/completions", "/chat/completions/"),
    *("/v1/v1/chat/completions", "/v1/v1/v1/chat/completions/"),
]
MODEL_PATHS = [
    "/v1/models/",
    "/models",
    "/v1/v1/models",
    "/v1/models/sonnet/",
    "/models/openai/sonnet",
]
EXAMPLES = {
    "audio": "audio/transcriptions",
    "images": "images/generations",
    "files": "files/file-1/content",
    "threads": "threads/t/runs",
}
CLAUDE_LACKS = ("embeddings", "audio", "images", "videos", "moderations", "realtime")


@pytest.fixture(scope="module")
def server():
    return ScriptedServer(api_key=KEY)


def send(server, path, method="POST", key=KEY):
    return server.client.open(
        path, method=method, json=CHAT_BODY, headers={"api-key": key, "x-api-key": key}
    )


@pytest.mark.parametrize("path", CHAT_PATHS)
def test_chat_paths(server, path):
    """A trailing slash and a missing or repeated prefix are corrected."""
    assert send(server, path).json["choices"]
    assert send(server, path, key="wrong").status_code == 401


@pytest.mark.parametrize("path", MODEL_PATHS)
def test_model_paths(server, path):
    """The paths of models are corrected, too."""
    assert send(server, path, "GET").json["object"] in ("list", "model")
    assert send(server, path, "GET", key="wrong").status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/", "", "/v1", "/v1/chat/completions", "/v1/v1", "/health", "/chatter", "//chat", "/x"],
)
def test_unchanged(path):
    """A right path, or one that has no meaning here, is unchanged."""
    assert PathCorrection(lambda environ, start: (), "/v1", ["chat"]).correct(path) == path


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("resource", UNSERVED)
def test_unserved(server, resource, method):
    """A path of OpenAI's that is not served is a 404 with the reason, once the key is checked."""
    path = f"/v1/{EXAMPLES.get(resource, resource)}"
    for variant in (path, f"{path}/", path.removeprefix("/v1"), f"/v1{path}"):
        response = send(server, variant, method)
        error = response.json["error"]
        assert (response.status_code, error["code"]) == (404, "unknown_url")
        assert f"{method} {path}. " in error["message"]
        assert ("Claude" in error["message"]) or ("This gateway" in error["message"])
        assert send(server, variant, method, key="wrong").status_code == 401


@pytest.mark.parametrize("resource", sorted(set(UNSERVED) - {"embeddings", "videos"}))
def test_alternative(server, resource):
    """The error names the path to use instead."""
    assert "/v1/chat/completions" in send(server, f"/v1/{resource}").json["error"]["message"]


@pytest.mark.parametrize("resource", CLAUDE_LACKS)
def test_what_claude_lacks(server, resource):
    """The error for something that Claude itself cannot do says so."""
    assert "Claude " in send(server, f"/v1/{resource}").json["error"]["message"]


def test_unknown_path(server):
    """Any other path is a 404 that names the path of chat completions."""
    response = send(server, "/api/v1/chat/completions")
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
    assert "use /ai/chat/completions" in client.post("/ai/files").text
    assert client.get("/images").mimetype == "text/html"


@pytest.mark.parametrize("path", ["/v1//chat/completions", "//v1/chat///completions"])
def test_doubled_slashes(path):
    """Doubled slashes are served as single ones, once the key is checked."""
    server = ScriptedServer(api_key=KEY)
    sent = {"environ_overrides": {"PATH_INFO": path}}
    error_of(server.post(CHAT_BODY, **sent), 401)
    assert server.post(CHAT_BODY, **sent, headers={"x-api-key": KEY}).status_code == 200


@pytest.mark.parametrize(("path", "status"), [("///health", 200), ("//evil.example//", 404)])
def test_doubled_slashes_at_the_root(path, status):
    """Doubled slashes at the root are answered without a redirect."""
    response = ScriptedServer().client.get("/", environ_overrides={"PATH_INFO": path})
    assert response.status_code == status
    assert response.mimetype == "application/json"
