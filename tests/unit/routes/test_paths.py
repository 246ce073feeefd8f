"""Paths that clients with a slightly wrong base URL request."""

import pytest

from tests.support.scripted_server import CHAT_BODY, KEY, ScriptedServer, error_of, open_with_key
from wrapper.routes.paths import PathCorrection

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


@pytest.fixture(scope="module")
def server():
    return ScriptedServer(api_key=KEY)


@pytest.mark.parametrize("path", CHAT_PATHS)
def test_chat_paths(server, path):
    """A trailing slash and a missing or repeated prefix are corrected."""
    assert open_with_key(server, path).json["choices"]
    assert open_with_key(server, path, key="wrong").status_code == 401


@pytest.mark.parametrize("path", MODEL_PATHS)
def test_model_paths(server, path):
    """The paths of models are corrected, too."""
    assert open_with_key(server, path, "GET").json["object"] in ("list", "model")
    assert open_with_key(server, path, "GET", key="wrong").status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/", "", "/v1", "/v1/chat/completions", "/v1/v1", "/health", "/chatter", "/x"],
)
def test_unchanged(path):
    """A right path, or one that has no meaning here, is unchanged."""
    assert PathCorrection(lambda environ, start: (), "/v1", ["chat"]).correct(path) == path


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
