"""Paths: what a client with a slightly wrong base URL asks for is served, or says what is right."""

import pytest
from flask import Flask

from tests.support.scripted_server import CHAT_BODY, KEY, ScriptedServer, error_of
from wrapper import Gateway
from wrapper.routes.paths import PathCorrection
from wrapper.routes.unserved import METHODS, UNSERVED
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

CHAT = [
    *("/v1/chat/completions/", "/chat/completions", "/chat/completions/"),
    *("/v1/v1/chat/completions", "/v1/v1/v1/chat/completions/"),
]
READ = ["/v1/models/", "/models", "/v1/v1/models", "/v1/models/sonnet/", "/models/openai/sonnet"]
REST = {
    "audio": "audio/transcriptions",
    "images": "images/generations",
    "files": "files/file-1/content",
    "threads": "threads/t/runs",
}
CLAUDE_HAS_NONE = ("embeddings", "audio", "images", "videos", "moderations", "realtime")


@pytest.fixture(scope="module")
def server():
    return ScriptedServer(api_key=KEY)


def asked(server, path, method="POST", key=KEY):
    return server.client.open(
        path, method=method, json=CHAT_BODY, headers={"api-key": key, "x-api-key": key}
    )


@pytest.mark.parametrize("path", CHAT)
def test_served(server, path):
    """A trailing slash, a prefix that is missing or is there twice do no harm."""
    assert asked(server, path).json["choices"]
    assert asked(server, path, key="wrong").status_code == 401


@pytest.mark.parametrize("path", READ)
def test_read(server, path):
    """So it is with the models."""
    assert asked(server, path, "GET").json["object"] in ("list", "model")
    assert asked(server, path, "GET", key="wrong").status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/", "", "/v1", "/v1/chat/completions", "/v1/v1", "/health", "/chatter", "//chat", "/x"],
)
def test_left_alone(path):
    """A path that is right, or that means nothing here, is left as it is."""
    assert PathCorrection(lambda environ, start: (), "/v1", ["chat"]).correct(path) == path


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("resource", UNSERVED)
def test_unserved(server, resource, method):
    """A path of OpenAI's that is not served is a 404 that says why, once the key is checked."""
    path = f"/v1/{REST.get(resource, resource)}"
    for wanted in (path, f"{path}/", path.removeprefix("/v1"), f"/v1{path}"):
        response = asked(server, wanted, method)
        error = response.json["error"]
        assert (response.status_code, error["code"]) == (404, "unknown_url")
        assert f"{method} {path}. " in error["message"]
        assert ("Claude" in error["message"]) or ("This gateway" in error["message"])
        assert asked(server, wanted, method, key="wrong").status_code == 401


@pytest.mark.parametrize("resource", sorted(set(UNSERVED) - {"embeddings", "videos"}))
def test_what_to_use(server, resource):
    """The message names the path that does what can be done."""
    assert "/v1/chat/completions" in asked(server, f"/v1/{resource}").json["error"]["message"]


@pytest.mark.parametrize("resource", CLAUDE_HAS_NONE)
def test_what_claude_has_not(server, resource):
    """What Claude itself cannot do is told as that."""
    assert "Claude " in asked(server, f"/v1/{resource}").json["error"]["message"]


def test_elsewhere(server):
    """Any other path is a 404 that names the one of chat completions."""
    response = asked(server, "/api/v1/chat/completions")
    assert response.status_code == 404
    assert "POST /v1/chat/completions" in response.json["error"]["message"]


def test_not_documented(server):
    """The document has what is served, and nothing else."""
    document = server.client.get("/openapi.json").get_json()
    assert not any("resource" in path or "embeddings" in path for path in document["paths"])


@pytest.mark.parametrize("first", [True, False])
def test_anothers_app(first):
    """In an app of somebody's own its pages stay its own, and messages name the prefix there."""
    app, gateway = Flask(__name__), Gateway(Settings(), engine=ScriptedEngine())
    if first:
        gateway.init_app(app, "/ai")
    app.add_url_rule("/embeddings", "own", lambda: "own")
    app.add_url_rule("/ai/embeddings", "beside", lambda: "beside")
    app.add_url_rule("/chat/completions/", "slash", lambda: "slash")
    if not first:
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
    """At the root, too, there is an answer and no redirect."""
    response = ScriptedServer().client.get("/", environ_overrides={"PATH_INFO": path})
    assert response.status_code == status
    assert response.mimetype == "application/json"
