"""The gateway in an app: Python calls, signals, views, the choice of engine, and its end."""

from __future__ import annotations

import atexit
import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask, abort
from marshmallow import Schema, fields

from tests.support.server import eventually
from wrapper import Caller, Gateway, Principal, Settings, create_app, turn_finished, turn_started
from wrapper.errors import InvalidRequest, Overloaded, RateLimited, Unavailable
from wrapper.routes import caller, load, operation, principal, reply, request_id, stream_response
from wrapper.services.events import Started, TextDelta
from wrapper.services.spent import Usage
from wrapper.settings import SettingsError
from wrapper.testing import ScriptedEngine
from wrapper.testing.engine import answer

pytestmark = pytest.mark.packages

HELLO = [{"role": "user", "content": "Hello?"}]
CAROL = Principal("carol")
SECONDS = 30.0


def build(*steps, **settings):
    """Return a gateway whose engine plays *steps*."""
    engine = ScriptedEngine(lambda turn: steps or answer("Hello."))
    return Gateway(Settings(**settings), engine=engine)


@contextmanager
def received(signal, sender):
    """Yield a list of the signals sent."""
    gathered = []

    def receive(_, **facts):
        gathered.append(facts)

    with signal.connected_to(receive, sender):
        yield gathered


# Called from Python


def test_complete():
    """Python code passes the API's parameters and gets the API's answer."""
    gateway = build()
    completion = gateway.chat.complete(HELLO, model="haiku", temperature=0.5)
    assert completion.text == completion.body["choices"][0]["message"]["content"] == "Hello."
    assert completion.body["usage"]["prompt_tokens"] == 3
    turn = gateway.engine.turns[0]
    assert (turn.model, turn.sampling.temperature, turn.principal.name) == ("haiku", 0.5, "local")


def test_stream():
    """A stream is a sequence of chunks, and its turn ends when all are read."""
    gateway = build()
    chunks = list(gateway.chat.stream(HELLO, stream_options={"include_usage": True}))
    assert [c["choices"][0]["delta"].get("content") for c in chunks if c["choices"]][1] == "Hello."
    assert chunks[-1]["usage"]["completion_tokens"] == 2
    assert gateway.limits.admission.load()["running"] == 0


def test_stream_left():
    """Closing a stream early ends its turn."""
    gateway = build(Started("m"), TextDelta("One"), TextDelta("Two"), 3600.0)
    with gateway.chat.stream(HELLO) as stream:
        chunks = iter(stream)
        next(chunks)
        assert gateway.engine.running == 1
    assert (gateway.engine.running, gateway.limits.admission.load()["running"]) == (0, 0)


def test_mistakes():
    """Mistakes and failures raise the error that a client would get."""
    gateway = build()
    with pytest.raises(InvalidRequest) as wrong:
        gateway.chat.complete(HELLO, temperature="hot")
    assert (wrong.value.param, wrong.value.status) == ("temperature", 400)
    with pytest.raises(Overloaded):
        build(Overloaded("Busy.")).chat.complete(HELLO)


def test_limits_of_a_caller():
    """A call for a caller counts for that caller's limits, and for no other's."""
    gateway = build()
    few = Caller(Principal("few", requests_per_minute=1))
    gateway.chat.complete(HELLO, caller=few)
    with pytest.raises(RateLimited):
        gateway.chat.complete(HELLO, caller=few)
    gateway.chat.complete(HELLO)


def test_job():
    """A job in a thread, without a request or an app, starts the gateway and gets an answer."""
    gateway, texts = build(), []
    job = threading.Thread(target=lambda: texts.append(gateway.chat.complete(HELLO).text))
    job.start()
    job.join(SECONDS)
    assert texts == ["Hello."]
    assert gateway.engine.started


# Signals


def test_signals():
    """Signals announce a turn's start and end, with its usage, cost and outcome."""
    gateway, other = build(), build()
    with received(turn_started, gateway) as started, received(turn_finished, gateway) as finished:
        gateway.chat.complete(HELLO, caller=Caller(CAROL, "req-1"))
        other.chat.complete(HELLO)
    assert started == [{"turn": gateway.engine.turns[0], "request_id": "req-1"}]
    assert finished == [
        {
            "turn": gateway.engine.turns[0],
            "request_id": "req-1",
            "usage": Usage(input=3, output=2),
            "cost_usd": 0.001,
            "outcome": "done",
        }
    ]
    assert finished[0]["turn"].principal is CAROL


@pytest.mark.parametrize(
    ("steps", "outcome", "tokens"),
    [
        ([Overloaded("Busy.")], "overloaded", 0),
        ([*answer("Hello.")[:3], Overloaded("Busy.")], "overloaded", 2),
    ],
)
def test_signals_of_failures(steps, outcome, tokens):
    """The outcome of a failed turn is its error's code, with the usage."""
    gateway = build(*steps)
    with received(turn_finished, gateway) as finished, pytest.raises(Overloaded):
        gateway.chat.complete(HELLO)
    assert [(facts["outcome"], facts["usage"].output) for facts in finished] == [(outcome, tokens)]


def test_signals_of_client_gone():
    """The outcome of a turn whose client has left is client_gone."""
    gateway = build(Started("m"), TextDelta("One"), 3600.0)
    with received(turn_finished, gateway) as finished, gateway.chat.stream(HELLO) as stream:
        next(iter(stream))
    assert [facts["outcome"] for facts in finished] == ["client_gone"]


def test_signals_of_several_answers():
    """A request for several answers sends one signal, with the usage of all."""
    gateway = build()
    with received(turn_finished, gateway) as finished:
        gateway.chat.complete(HELLO, n=3)
    assert [(facts["usage"].input, facts["cost_usd"]) for facts in finished] == [(9, 0.003)]


def test_receivers_fail_alone(caplog):
    """A failing receiver is logged, and affects neither the turn nor the next receiver."""
    gateway = build()

    def fail(_, **facts):
        raise KeyError("of the shop")

    with turn_finished.connected_to(fail, gateway), received(turn_finished, gateway) as finished:
        assert gateway.chat.complete(HELLO).text == "Hello."
    assert len(finished) == 1
    assert "of the shop" in caplog.text


# Views of the app


class Summary(Schema):
    text = fields.String(required=True)


def extended(gateway):
    """Return a client of an app that adds views to the gateway's blueprint."""

    @gateway.blueprint.post("/summaries")
    @operation(body=Summary())
    def summarise():
        text = load(Summary())["text"]
        asked = [{"role": "user", "content": f"Sum up: {text}"}]
        return stream_response(gateway.chat.stream(asked, caller=caller()))

    @gateway.blueprint.get("/whoami")
    def whoami():
        return reply({"name": principal().name, "id": request_id()})

    app = Flask("shop")
    gateway.init_app(app, url_prefix="/ai/v1")
    return app.test_client()


def test_own_views():
    """A view of the app has the gateway's keys, ids, errors and OpenAPI document."""
    gateway = build(api_key="the-key")
    client = extended(gateway)
    sent = {"Authorization": "Bearer the-key", "x-request-id": "req-1"}
    refused = client.get("/ai/v1/whoami")
    assert (refused.status_code, refused.json["error"]["code"]) == (401, "invalid_api_key")
    answer = client.get("/ai/v1/whoami", headers=sent)
    assert answer.json == {"name": "default", "id": "req-1"}
    assert answer.headers["x-request-id"] == "req-1"
    wrong = client.post("/ai/v1/summaries", json={"text": 1}, headers=sent)
    assert (wrong.status_code, wrong.json["error"]["param"]) == (400, "text")
    streamed = client.post("/ai/v1/summaries", json={"text": "much"}, headers=sent)
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert gateway.engine.turns[0].messages[0].parts == ("Sum up: much",)
    document = client.get("/ai/v1/openapi.json").json
    assert "/ai/v1/summaries" in document["paths"]


def test_own_views_are_limited():
    """A call in a view of the app counts for the limits of the view's caller."""
    few = Principal("few", requests_per_minute=1)
    gateway = Gateway(Settings(), engine=ScriptedEngine(), authenticate=lambda request: few)
    client = extended(gateway)
    assert client.post("/ai/v1/summaries", json={"text": "much"}).status_code == 200
    late = client.post("/ai/v1/summaries", json={"text": "much"})
    assert (late.status_code, late.json["error"]["code"]) == (429, "rate_limit_exceeded")


def test_own_view_that_only_streams():
    """The OpenAPI document describes a view that only streams."""
    gateway = build()

    @gateway.blueprint.post("/streams")
    @operation(body=Summary(), stream=Summary)
    def stream():
        """Answer with a stream."""

    document = extended(gateway).get("/ai/v1/openapi.json").json
    response = document["paths"]["/ai/v1/streams"]["post"]["responses"]["200"]
    assert list(response["content"]) == ["text/event-stream"]
    assert "x-request-id" in response["headers"]


@pytest.mark.parametrize(
    ("status", "code", "options", "after"),
    [
        (401, "invalid_api_key", {}, None),
        (403, "permission_denied", {}, None),
        (429, "rate_limit_exceeded", {"retry_after": 7}, "7"),
        (503, "unavailable", {"retry_after": datetime(2020, 1, 1, tzinfo=UTC)}, "1"),
    ],
)
def test_refusals_of_the_app(status, code, options, after):
    """Where a hook of the app aborts, clients of the API get that status and its usual code."""
    gateway, app = build(), Flask("shop")
    app.before_request(lambda: abort(status, "Not now.", **options))
    gateway.init_app(app)
    refused = app.test_client().post("/v1/chat/completions", json={})
    error = refused.get_json()["error"]
    assert (refused.status_code, error["code"], error["message"]) == (status, code, "Not now.")
    assert refused.headers.get("Retry-After") == after


@pytest.mark.parametrize("status", [404, 413])
def test_errors_next_to_the_apps(status):
    """Errors on the blueprint have OpenAI's shape, and the app keeps its own error pages."""
    gateway = build()
    gateway.blueprint.get("/failing")(lambda: abort(status))
    app = Flask("shop")
    app.register_error_handler(status, lambda error: ("A page of the shop.", status))
    app.get("/own")(lambda: abort(status))
    gateway.init_app(app)
    client = app.test_client()
    refused = client.get("/v1/failing")
    assert (refused.status_code, refused.is_json) == (status, True)
    assert json.loads(refused.data)["error"]["type"] == "invalid_request_error"
    assert client.get("/own").text == "A page of the shop."


@pytest.mark.parametrize("name", ["local", "default"])
def test_reserved_names(name, caplog):
    """An app cannot use a reserved name for a caller; the log says why."""
    gateway = Gateway(
        Settings(), engine=ScriptedEngine(), authenticate=lambda request: Principal(name)
    )
    assert extended(gateway).get("/ai/v1/whoami").status_code == 500
    assert f"authenticate: '{name}' is reserved for the gateway" in caplog.text


def test_unknown_caller():
    """An unknown caller of an app with its own authentication learns nothing of keys."""
    gateway = Gateway(Settings(), engine=ScriptedEngine(), authenticate=lambda request: None)
    refused = extended(gateway).get("/ai/v1/whoami")
    assert (refused.status_code, refused.json["error"]["code"]) == (401, "invalid_api_key")
    assert "API key" not in refused.text
    assert "WWW-Authenticate" not in refused.headers


# The choice of engine


@pytest.fixture
def engine_package(tmp_path, monkeypatch):
    """An installed package that offers an engine."""
    package = tmp_path / "shop_engine-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-engine\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[wrapper.engines]\nscripted = shop_engine:build\nbroken = shop_engine:nothing\n"
    )
    (tmp_path / "shop_engine.py").write_text(
        "from wrapper.testing import ScriptedEngine\n"
        "def build(settings):\n"
        "    engine = ScriptedEngine()\n"
        "    engine.settings = settings\n"
        "    return engine\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_engine_by_name(engine_package):
    """WRAPPER_ENGINE chooses an installed package's engine, which gets the settings."""
    settings = Settings(wrapper_engine="scripted")
    client = create_app(settings).test_client()
    completion = json.loads(client.post("/v1/chat/completions", json={"messages": HELLO}).data)
    assert completion["choices"][0]["message"]["content"] == "Hello."
    engine: Any = Gateway(settings).engine
    assert engine.settings is settings


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (
            "cluade",
            r"no package offers 'cluade' in wrapper.engines; the engines are: broken, cl",
        ),
        ("broken", r"broken cannot be loaded: AttributeError"),
    ],
)
def test_unknown_engine(engine_package, name, why):
    """An unknown engine, or one that does not load, is refused."""
    with pytest.raises(SettingsError, match=f"WRAPPER_ENGINE: {why}"):
        Gateway(Settings(wrapper_engine=name))


# Start and end


def test_first_request_starts():
    """The first request of any kind starts the gateway, and nothing does before."""
    gateway = build()
    app = Flask("shop")
    app.get("/own")(lambda: "own")
    gateway.init_app(app)
    client = app.test_client()
    client.get("/own")
    assert not gateway.engine.started
    client.get("/v1/ready")
    assert gateway.engine.started


def test_drain():
    """Draining waits for running turns, refuses new ones, and then closes everything."""
    steps = threading.Event()

    def script(turn):
        yield Started("m")
        yield TextDelta("One")
        while not steps.is_set():
            yield 0.01
        yield from answer("Two")[1:]

    engine = ScriptedEngine(script)
    gateway = Gateway(Settings(), engine=engine)
    stream = iter(gateway.chat.stream(HELLO))
    next(stream)
    draining = threading.Thread(target=gateway.drain)
    draining.start()
    assert eventually(gateway.lifecycle.drains, SECONDS)
    with pytest.raises(Unavailable):
        gateway.chat.complete(HELLO)
    assert gateway.readiness() == "draining"
    assert draining.is_alive()
    assert engine.started
    steps.set()
    assert [chunk["choices"][0]["finish_reason"] for chunk in stream][-1] == "stop"
    draining.join(SECONDS)
    assert not engine.started


def test_context():
    """As a context manager it starts on entry and drains on exit."""
    gateway = build()
    with gateway:
        assert gateway.engine.started
    assert not gateway.engine.started


def test_drain_interrupted(monkeypatch):
    """A second Ctrl-C ends the wait for running turns: all is closed, and nothing is awaited later.

    Python calls what `atexit` has registered, which would otherwise wait anew.
    """
    gateway = build()
    registered: list[Any] = []
    monkeypatch.setattr(atexit, "register", registered.append)
    monkeypatch.setattr(atexit, "unregister", registered.remove)
    gateway.start()
    assert registered == [gateway.drain]

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(gateway.limits.admission, "wait_until_idle", interrupt)
    with pytest.raises(KeyboardInterrupt):
        gateway.drain()
    assert not gateway.engine.started
    assert not registered


def test_drain_timeout(monkeypatch):
    """Draining waits no longer than GRACEFUL_TIMEOUT and a moment for a turn."""
    monkeypatch.setattr("wrapper.gateway.ENDING_SECONDS", 0.1)
    gateway = build(Started("m"), TextDelta("One"), 3600.0, graceful_timeout=1)
    stream = gateway.chat.stream(HELLO)
    began = time.monotonic()
    gateway.drain()  # while nobody reads the stream
    assert time.monotonic() - began < SECONDS
    assert not gateway.engine.started
    stream.close()
