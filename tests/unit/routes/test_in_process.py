"""Requests that the gateway makes to its own app: they pass the checks and limits of any other."""

from __future__ import annotations

import json
import threading

import pytest
from flask import Flask, redirect, request

from wrapper import Gateway, Principal, Settings
from wrapper.auth.key_file import hash_of
from wrapper.errors import QuotaExceeded, RateLimited
from wrapper.services.events import Started, TextDelta
from wrapper.services.jobs.job import Job, JobContent, JobStatus
from wrapper.testing import ScriptedEngine
from wrapper.testing.engine import answer

SECONDS = 30.0
BODY = b'{"messages":[{"role":"user","content":"Hello?"}]}'
ALICE = Principal("alice")


def never():
    return False


@pytest.fixture
def serve(tmp_path):
    """Return a function that serves a gateway in an app; it is closed after the test."""
    made = []

    def make(steps=None, prefix="/v1", **settings):
        engine = ScriptedEngine(lambda turn: answer("Hello.") if steps is None else steps)
        values = {"jobs_db": str(tmp_path / "jobs.db"), **settings}
        gateway = Gateway(Settings(**values), engine=engine)
        app = Flask(__name__)
        gateway.init_app(app, prefix)
        made.append(gateway)
        return gateway

    yield make
    for gateway in made:
        gateway.work.jobs.wait_until_idle(SECONDS)
        gateway.close()


def ask(gateway, principal=ALICE, body=BODY, gone=never, **headers):
    return gateway.work.client(principal, "/chat/completions", body, gone=gone, headers=headers)


@pytest.mark.parametrize("prefix", ["/v1", "/ai/v1"])
def test_answer(serve, prefix):
    """A request is answered as that of its principal, under the prefix of the app."""
    gateway = serve(prefix=prefix, api_key="secret")
    made = ask(gateway, **{"x-request-id": "job_1"})
    assert (made.status, made.headers["x-request-id"]) == (200, "job_1")
    assert json.loads(made.read())["choices"][0]["message"]["content"] == "Hello."
    assert gateway.engine.turns[0].principal == ALICE


HOSTS = [
    ({"TRUSTED_HOSTS": ["shop.example"]}, "shop.example"),
    ({"TRUSTED_HOSTS": [".shop.example", "b.example"]}, "shop.example"),
    ({"SERVER_NAME": "shop.example:8443", "TRUSTED_HOSTS": ["shop.example"]}, "shop.example:8443"),
    ({}, "localhost"),
]


@pytest.mark.parametrize(("config", "host"), HOSTS)
def test_host(serve, config, host):
    """A request is to a host that the app trusts, and its hooks may redirect what lacks https."""
    gateway, seen = serve(), []
    app = gateway.work.client._app
    app.config.update(config)

    @app.before_request
    def secure():
        seen.append((request.host, "wrapper" in request.blueprints))
        return None if request.is_secure else redirect("https://shop.example")

    made = ask(gateway)
    assert (made.status, bool(made.read())) == (200, True)
    assert seen == [(host, True)]


def test_two_apps(serve):
    """Two apps may serve one gateway, which makes its requests to the last of them."""
    gateway = serve(api_key="secret")
    first, last = gateway.work.client._app, Flask("last")
    asked = []
    last.before_request(lambda: asked.append(request.path))
    gateway.init_app(last, "/last")
    headers = {"x-api-key": "secret", "Origin": "https://shop.example"}
    for app, path in ((first, "/v1/models"), (last, "/last/models")):
        shown = app.test_client().get(path, headers=headers)
        assert (shown.status_code, shown.headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert ask(gateway).read()
    assert asked == ["/last/models", "/last/chat/completions"]


def test_error(serve):
    """A mistake is the API's own error; it is not to be made again."""
    made = ask(serve(), body=b'{"messages":1}')
    assert (made.status, made.retry_after) == (400, None)
    assert json.loads(made.read())["error"]["param"] == "messages"


def test_limits(serve):
    """The principal's limits apply, and a rate that is exceeded says when to ask again."""
    gateway = serve()
    few = Principal("few", requests_per_minute=1)
    assert ask(gateway, few).read()
    made = ask(gateway, few)
    assert made.limited
    assert made.retry_after >= 1
    made.read()


def test_budget(serve, monkeypatch):
    """A budget that is used up is no limit after which the request is made again."""
    gateway = serve()

    def check(principal):
        raise QuotaExceeded("The budget is used up.", retry=False)

    monkeypatch.setattr(gateway.limits.ledger, "check", check)
    made = ask(gateway)
    assert (made.status, made.limited, made.out_of_budget) == (429, False, True)
    assert json.loads(made.read())["error"]["code"] == "insufficient_quota"


@pytest.mark.parametrize("error", [QuotaExceeded("used up"), RateLimited("slow down")])
def test_refused_in_mid_turn(serve, error):
    """What refuses a turn after the model has begun is no reason to make the request again."""
    made = ask(serve(steps=[Started("haiku"), error]))
    assert (made.status, made.retry_after, made.out_of_budget) == (429, None, False)
    made.read()


def test_draining(serve):
    """A gateway that shuts down begins nothing, so the request may be made again."""
    gateway = serve()
    gateway.lifecycle.drain()
    made = ask(gateway)
    assert (made.status, made.limited, made.retry_after) == (503, False, 1.0)
    made.read()


@pytest.mark.parametrize(
    ("sent", "after"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0), ("", 1.0)]
)
def test_refusals_of_the_app(serve, sent, after):
    """A refusal of the app may say when to ask again, in seconds, or as a date or not at all."""
    gateway = serve()
    refusal = ("The shop is closed.", 503, {"Retry-After": sent})
    gateway.work.client._app.before_request(lambda: refusal)
    made = ask(gateway)
    assert (made.status, made.retry_after, made.read()) == (503, after, b"The shop is closed.")


def test_stream(serve):
    """A stream's chunks come as they are made, and closing the answer ends the turn."""
    steps = [Started("haiku"), TextDelta("Hello"), TextDelta(" there"), SECONDS, TextDelta("!")]
    gateway = serve(steps=steps)
    body = json.dumps({**json.loads(BODY), "stream": True}).encode()
    with ask(gateway, body=body) as made:
        text = b""
        while b"Hello" not in text:
            text += next(made.chunks)
        assert made.headers["content-type"].startswith("text/event-stream")
    assert gateway.limits.admission.wait_until_idle(SECONDS)


def test_gone(serve):
    """A turn whose answer nobody wants any more is not begun."""
    gateway = serve()
    made = ask(gateway, gone=lambda: True)
    assert made.status == 408
    made.read()
    assert gateway.engine.turns == []


def test_not_forged(serve):
    """No header makes a client's request one of the gateway's own."""
    gateway = serve(api_key="secret")
    client = gateway.work.client._app.test_client()
    forged = {"wrapper.in_process": "x", "Wrapper-In_Process": "x", "wrapper.in-process": "x"}
    assert client.post("/v1/chat/completions", data=BODY, headers=forged).status_code == 401


def test_job(serve, tmp_path):
    """A job of the gateway runs in the background, with the rights that the key has then."""
    keys = tmp_path / "keys.toml"
    keys.write_text(f'[keys.alice]\nsha256 = "{hash_of("secret")}"\nmax_turns = 7\n')
    gateway = serve(api_keys_file=str(keys))
    done, answers, backgrounds = threading.Event(), [], []
    admit = gateway.limits.admission.admit

    def spy(turns, caller, check):
        backgrounds.append(caller.background)
        return admit(turns, caller, check)

    gateway.limits.admission.admit = spy

    def run(running):
        answers.append((running.principal, running.ask("/chat/completions", BODY).read()))
        running.end(JobStatus.COMPLETED)

    gateway.work.jobs.handle("test", run, lambda view, reported: done.set())
    gateway.start()
    gateway.work.jobs.submit(Job("job_1", "test", "alice", 60), JobContent(BODY))
    assert done.wait(SECONDS)
    assert answers[0][0].max_turns == 7
    assert b"Hello." in answers[0][1]
    assert backgrounds == [True]
    gateway.drain()
    assert gateway.work.jobs.find("alice", "job_1").state.status == "completed"
