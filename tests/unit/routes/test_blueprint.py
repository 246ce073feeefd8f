"""The gateway's blueprints: who may call, and how they behave in another app."""

import contextlib
import io
import json

import pytest
from flask import Flask, g, request
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

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
    """Without the right key, no request is answered and no turn runs."""
    server = ScriptedServer(api_key=KEY)
    response = server.post(CHAT_BODY, path=path, headers=sent)
    assert error_of(response, 401)["code"] == "invalid_api_key"
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert KEY.encode() not in response.data
    assert server.engine.turns == []


@pytest.mark.parametrize("sent", [{"Authorization": f"bearer {KEY}"}, {"X-Api-Key": KEY}])
def test_right_key(sent):
    """A request with the right key is answered, from any host."""
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
    """The caller is checked before the body is read."""
    actual_status, body, _ = ScriptedServer(**settings).send(
        UnreadableBody(), CONTENT_LENGTH="100", **environ
    )
    assert actual_status == status
    assert set(body["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "sent",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}],
)
def test_foreign_callers(sent):
    """Without a key, a request that a foreign web page may have sent is refused."""
    server = ScriptedServer()
    assert error_of(server.ask(headers=sent), 403)["code"] == "permission_denied"
    assert server.engine.turns == []


@pytest.mark.parametrize("sent", [{"Host": "127.0.0.1:8000"}, {"Origin": "http://localhost:3000"}])
def test_local_callers(sent):
    """Without a key, requests from this machine's own pages are answered."""
    assert ScriptedServer().ask(headers=sent).status_code == 200


@pytest.fixture
def mounted_client():
    """An app with a page of its own, and a gateway under a prefix."""
    app = Flask("other")
    app.get("/own")(lambda: "own")
    gateway = Gateway(Settings(), engine=ScriptedEngine())
    gateway.init_app(app, url_prefix="/ai")
    return app.test_client()


def test_prefix(mounted_client):
    """A gateway answers under the prefix that an app gives it, with errors in OpenAI's shape."""
    assert mounted_client.post("/ai/chat/completions", json=CHAT_BODY).status_code == 200
    error_of(mounted_client.post("/ai/chat/completions", json={}), 400)
    assert mounted_client.get("/ai/health").status_code == 200


def test_other_pages_of_the_app(mounted_client):
    """The app's own pages and errors stay as they are."""
    own, missing = mounted_client.get("/own"), mounted_client.get("/nothing")
    assert (own.text, missing.status_code, missing.mimetype) == ("own", 404, "text/html")
    assert "x-request-id" not in own.headers


def test_what_the_app_notes():
    """The app's hooks may note in g what they like, under any of these names, and keep it."""
    app, names, kept = Flask("shop"), ("began", "counted", "principal", "request_id", "span"), []

    @app.before_request
    def note():
        vars(g).update(dict.fromkeys(names, "the app's"))

    app.teardown_request(lambda error: kept.append({name: g.get(name) for name in names}))
    Gateway(Settings(), engine=ScriptedEngine()).init_app(app)
    client = app.test_client()
    headers = {"x-request-id": "req-1"}
    answer = client.post("/v1/chat/completions", json=CHAT_BODY, headers=headers)
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, "req-1")
    error_of(client.post("/v1/chat/completions", json={}), 400)
    assert kept == [dict.fromkeys(names, "the app's")] * 2


@pytest.mark.parametrize("chunked", [False, True])
def test_what_the_app_reads(chunked):
    """A hook of the app may read a body before the gateway does, of a known length or not."""
    app = Flask("shop")
    app.before_request(lambda: request.get_data()[:0] or None)
    Gateway(Settings(), engine=ScriptedEngine()).init_app(app)
    body = io.BytesIO(json.dumps(CHAT_BODY).encode())
    sent = {"input_stream": body, "content_type": "application/json"}
    if chunked:
        sent["environ_overrides"] = {"wsgi.input_terminated": True}
    else:
        sent["content_length"] = len(body.getvalue())
    assert app.test_client().post("/v1/chat/completions", **sent).status_code == 200


def test_forms_that_the_app_reads():
    """A hook of the app may read a form before the gateway does, of more than a piece, too."""
    app, content = Flask("shop"), b"{}\n" * 500_000
    app.before_request(lambda: request.get_data()[:0] or None)
    file = FileStorage(io.BytesIO(content), "questions.jsonl")
    boundary, form = encode_multipart({"purpose": "batch", "file": file})
    kind = f"multipart/form-data; boundary={boundary}"
    with contextlib.closing(Gateway(Settings(), engine=ScriptedEngine())) as gateway:
        gateway.init_app(app)
        answer = app.test_client().post("/v1/files", data=form, content_type=kind)
    assert (answer.status_code, answer.get_json()["bytes"]) == (200, len(content))


def test_doubled_slashes_of_others(mounted_client):
    """Doubled slashes are corrected only in the gateway's own paths, not in the app's."""
    assert mounted_client.post("/ai//chat/completions", json=CHAT_BODY).status_code == 200
    redirect = mounted_client.get("/", environ_overrides={"PATH_INFO": "/own//x"})
    assert redirect.mimetype == "text/html"


def test_gateways_do_not_mix():
    """Two gateways in one process are independent."""
    with_key, other = ScriptedServer(api_key=KEY), ScriptedServer(default_model="haiku")
    assert with_key.ask().status_code == 401
    assert other.ask().status_code == 200
    assert (with_key.engine.turns, other.engine.turns[0].model) == ([], "haiku")


def test_starting_and_closing():
    """A gateway starts and closes its engine; closing it twice is harmless."""
    engine = ScriptedEngine()
    gateway = Gateway(Settings(), engine=engine)
    assert not engine.started
    gateway.start()
    assert engine.started
    gateway.close()
    gateway.close()
    assert not engine.started


def test_own_authentication():
    """An app's own authentication decides who is calling; the engine gets the principal."""
    callers = {"1": Principal("carol", profile="plain"), "2": Principal("dave", models=())}
    app = Flask("shop")
    engine = ScriptedEngine()
    gateway = Gateway(
        Settings(),
        engine=engine,
        authenticate=lambda request: callers.get(request.cookies.get("id")),
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
    """A caller unknown to the app is refused before the body is read."""
    app = Flask("shop")
    Gateway(Settings(), engine=ScriptedEngine(), authenticate=lambda request: None).init_app(app)
    server = ScriptedServer()
    server.app = app
    status, body, _ = server.send(io.BufferedReader(UnreadableBody()), CONTENT_LENGTH="100")
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
