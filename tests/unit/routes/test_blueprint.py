"""The gateway's blueprints: who may call, and how they behave in another app."""

import io
import json

import pytest
from flask import Flask

from tests.support.scripted_server import (
    CHAT_BODY,
    CHAT_PATH,
    KEY,
    ScriptedServer,
    UnreadableBody,
    error_of,
)
from wrapper import Gateway
from wrapper.services.principal import Principal
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

pytestmark = pytest.mark.packages


@pytest.mark.parametrize("path", [CHAT_PATH, f"{CHAT_PATH}?x=1"])
@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer wrong"}, {"x-api-key": "wrong"}])
def test_key_needed(path, sent):
    """Without the right key nothing is answered, and nothing asked."""
    server = ScriptedServer(api_key=KEY)
    response = server.post(CHAT_BODY, path=path, headers=sent)
    assert error_of(response, 401)["code"] == "invalid_api_key"
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert KEY.encode() not in response.data
    assert server.engine.turns == []


@pytest.mark.parametrize("sent", [{"Authorization": f"bearer {KEY}"}, {"X-Api-Key": KEY}])
def test_right_key(sent):
    """The right key is answered, from any host."""
    response = ScriptedServer(api_key=KEY).ask(headers={**sent, "Host": "gateway.example"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("settings", "status", "environ"),
    [
        ({"api_key": KEY}, 401, {}),
        ({"api_key": KEY}, 401, {"HTTP_AUTHORIZATION": "Bearer wr\u00f6ng"}),
        ({}, 403, {"HTTP_HOST": "evil.example"}),
        ({}, 403, {"HTTP_ORIGIN": "https://evil.example"}),
    ],
)
def test_checked_before_the_body(settings, status, environ):
    """Who is calling is checked before the body is read."""
    got, body, _ = ScriptedServer(**settings).send(
        UnreadableBody(), CONTENT_LENGTH="100", **environ
    )
    assert got == status
    assert set(body["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "sent",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}],
)
def test_foreign_callers(sent):
    """Without a key, what a foreign web page may have sent is refused."""
    server = ScriptedServer()
    assert error_of(server.ask(headers=sent), 403)["code"] == "permission_denied"
    assert server.engine.turns == []


@pytest.mark.parametrize("sent", [{"Host": "127.0.0.1:8000"}, {"Origin": "http://localhost:3000"}])
def test_local_callers(sent):
    """Without a key, this machine's own pages are answered."""
    assert ScriptedServer().ask(headers=sent).status_code == 200


@pytest.fixture
def mounted():
    """An app with a page of its own, and a gateway under a prefix."""
    app = Flask("other")
    app.get("/own")(lambda: "own")
    gateway = Gateway(Settings(), engine=ScriptedEngine())
    gateway.init_app(app, url_prefix="/ai")
    return app.test_client()


def test_mounted(mounted):
    """A gateway answers under the prefix that an app gives it, errors included."""
    assert mounted.post("/ai/chat/completions", json=CHAT_BODY).status_code == 200
    error_of(mounted.post("/ai/chat/completions", json={}), 400)
    assert mounted.get("/ai/health").status_code == 200


def test_mounting_changes_nothing_else(mounted):
    """The app's own pages, and its own errors, stay as they are."""
    own, missing = mounted.get("/own"), mounted.get("/nothing")
    assert (own.text, missing.status_code, missing.mimetype) == ("own", 404, "text/html")
    assert "x-request-id" not in own.headers


def test_doubled_slashes_of_others(mounted):
    """Only the gateway's own paths are changed, not those of the app."""
    assert mounted.post("/ai//chat/completions", json=CHAT_BODY).status_code == 200
    redirect = mounted.get("/", environ_overrides={"PATH_INFO": "/own//x"})
    assert redirect.mimetype == "text/html"


def test_gateways_do_not_mix():
    """Two gateways in one process have nothing in common."""
    one, other = ScriptedServer(api_key=KEY), ScriptedServer(default_model="haiku")
    assert one.ask().status_code == 401
    assert other.ask().status_code == 200
    assert (one.engine.turns, other.engine.turns[0].model) == ([], "haiku")


def test_starting_and_closing():
    """Starting a gateway starts its engine, and closing it closes that; twice is harmless."""
    engine = ScriptedEngine()
    gateway = Gateway(Settings(), engine=engine)
    assert not engine.started
    gateway.start()
    assert engine.started
    gateway.close()
    gateway.close()
    assert not engine.started


def test_own_authentication():
    """A shop says itself who is calling, and the engine and the log hear of that."""
    callers = {"1": Principal("carol", profile="plain"), "2": Principal("dave", models=())}
    app = Flask("shop")
    engine = ScriptedEngine()
    gateway = Gateway(
        Settings(), engine=engine, authenticate=lambda asked: callers.get(asked.cookies.get("id"))
    )
    gateway.init_app(app, url_prefix="/ai/v1")
    client = app.test_client()
    error_of(client.post("/ai/v1/chat/completions", json=CHAT_BODY), 401)
    client.set_cookie("id", "1")
    assert client.post("/ai/v1/chat/completions", json=CHAT_BODY).status_code == 200
    assert engine.turns[0].principal is callers["1"]
    assert engine.turns[0].profile == "plain"
    beyond = {**CHAT_BODY, "claude": {"profile": "agent"}}
    error_of(client.post("/ai/v1/chat/completions", json=beyond), 403)
    client.set_cookie("id", "2")
    assert json.loads(client.get("/ai/v1/models").data)["data"] == []
    error_of(client.get("/ai/v1/models/sonnet"), 403)
    assert client.get("/ai/v1/health").status_code == 200
    assert len(engine.turns) == 1


def test_authentication_comes_first():
    """Whom a shop does not know is told so before the body is read."""
    app = Flask("shop")
    Gateway(Settings(), engine=ScriptedEngine(), authenticate=lambda asked: None).init_app(app)
    server = ScriptedServer()
    server.app = app
    status, body, _ = server.send(io.BufferedReader(UnreadableBody()), CONTENT_LENGTH="100")
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
