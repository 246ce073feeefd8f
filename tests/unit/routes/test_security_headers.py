"""The headers that keep browsers from rendering, framing or caching a response."""

import pytest
from flask import Flask

from tests.support.scripted_server import BODY_LIMIT, CHAT_BODY, CHAT_PATH, KEY, ScriptedServer
from wrapper import Gateway, errors
from wrapper.routes.headers import SECURITY
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

FOREIGN = {"Origin": "https://evil.example"}
DIED = errors.BadGateway("It died.")
RESPONSES = {
    "an answer": (200, lambda: ScriptedServer().ask()),
    "a stream": (200, lambda: ScriptedServer().ask(stream=True)),
    "a stream of other pages": (200, lambda: ScriptedServer(cors_origins=("*",), api_key=KEY).ask(
        headers={**FOREIGN, "x-api-key": KEY}, stream=True
    )),
    "what is read": (200, lambda: ScriptedServer().client.get("/v1/models")),
    "health": (200, lambda: ScriptedServer().client.get("/health")),
    "the head alone": (200, lambda: ScriptedServer().client.head("/health")),
    "a preflight": (204, lambda: ScriptedServer(cors_origins=("*",)).client.options(CHAT_PATH)),
    "a mistake": (400, lambda: ScriptedServer().post("{")),
    "no key": (401, lambda: ScriptedServer(api_key=KEY).ask()),
    "a foreign page": (403, lambda: ScriptedServer().ask(headers=FOREIGN)),
    "an unknown model": (404, lambda: ScriptedServer().ask(model="gpt-4")),
    "an unknown path": (404, lambda: ScriptedServer().client.get("/v1/nothing")),
    "an unknown path elsewhere": (404, lambda: ScriptedServer().client.get("/nothing")),
    "a wrong method": (405, lambda: ScriptedServer().client.delete(CHAT_PATH)),
    "a large body": (413, lambda: ScriptedServer().post(b" " * (BODY_LIMIT + 1))),
    "no JSON": (415, lambda: ScriptedServer().post("{}", content_type="text/plain")),
    "a fault of our own": (500, lambda: ScriptedServer(KeyError("x")).ask()),
    "a fault of Claude Code's": (502, lambda: ScriptedServer(DIED).ask()),
}  # fmt: skip


def missing(response):
    """Return the names of the headers that *response* lacks."""
    sent = response.headers
    lacks = [name for name in SECURITY if SECURITY[name] not in sent.get_all(name)]
    return [name for name in lacks if name != "Cache-Control" or "no-store" not in sent[name]]


@pytest.mark.parametrize("name", RESPONSES)
def test_every_response(name):
    """Every response, of any kind, has the security headers and its processing time."""
    status, get = RESPONSES[name]
    response = get()
    assert response.status_code == status
    assert missing(response) == []
    (milliseconds,) = response.headers.getlist("openai-processing-ms")
    assert 0 <= int(milliseconds) < 60_000


def test_no_duplicates():
    """No security header occurs twice, because browsers disagree on repeated ones."""
    for response in (
        ScriptedServer().ask(),
        ScriptedServer().ask(stream=True),
        ScriptedServer().post("{"),
    ):
        assert [len(response.headers.get_all(name)) for name in SECURITY] == [1] * len(SECURITY)


def test_another_app():
    """In another app the gateway's routes have them, and the app's own pages do not."""
    app = Flask("other")
    app.get("/own")(lambda: "own")
    Gateway(Settings(), engine=ScriptedEngine()).init_app(app, url_prefix="/ai")
    client = app.test_client()
    for response in (
        client.post("/ai/chat/completions", json=CHAT_BODY),
        client.post("/ai/chat/completions", json={}),
        client.get("/ai/health"),
    ):
        assert missing(response) == []
    for response in (client.get("/own"), client.get("/nothing")):
        assert not set(SECURITY) & set(response.headers.keys())


def test_the_apps_own_policy():
    """An app may replace the policy on the gateway's responses by its own."""
    app = Flask("other")
    own = {"Content-Security-Policy": "sandbox"}

    @app.after_request
    def enforce(response):
        response.headers.update(own)
        return response

    Gateway(Settings(), engine=ScriptedEngine()).init_app(app, url_prefix="/ai")
    response = app.test_client().get("/ai/health")
    assert response.headers["Content-Security-Policy"] == "sandbox"
