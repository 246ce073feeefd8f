"""The order of checks: what costs least comes first, and every request with a key is counted."""

import io
import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import create_environ, run_wsgi_app

from tests.support.pictures import part, picture
from wrapper import Gateway
from wrapper.errors import InvalidRequest, QuotaExceeded, RateLimited
from wrapper.routes.headers import note_headers
from wrapper.services.attachments import images
from wrapper.services.principal import Caller, Principal
from wrapper.services.usage.store import Amounts, Row
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, answer

CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "Hi"}
TEN = Principal("ten", requests_per_minute=10, tokens_per_minute=1000, usd_per_day=1)
DOLLAR = Amounts(nanos=10**9)
LEFT = "x-ratelimit-remaining-requests"
WAIT_SECONDS = 20.0


class Unreadable(io.RawIOBase):
    """A body that must not be read."""

    def readable(self):
        return True

    def readinto(self, buffer):
        raise AssertionError("The body was read.")


class Server:
    """An app whose callers are all *who*, with one place for turns and no queue."""

    def __init__(self, tmp_path, who=TEN, script=None, **settings):
        self.who = who
        self.leave = lambda: None
        self.engine = ScriptedEngine(script or (lambda turn: answer("Hello.")))
        given: dict[str, Any] = {"usage_db": str(tmp_path / "usage.db"), "max_concurrent_turns": 1}
        given |= {"max_queue": 0, **settings}
        self.gateway = Gateway(
            Settings(**given), engine=self.engine, authenticate=lambda _: self.who
        )
        self.app = Flask("shop")
        self.gateway.init_app(self.app)
        self.client = self.app.test_client()

    def post(self, data=None, headers=None, kind="application/json", **fields):
        data = json.dumps({"messages": [USER], **fields}) if data is None else data
        return self.client.post(CHAT, data=data, content_type=kind, headers=headers)

    def ask_unread(self, **headers):
        """Send what must not be read; return the status and the error."""
        variables = create_environ(CHAT, method="POST", content_type="application/json")
        variables |= {"wsgi.input": Unreadable(), "CONTENT_LENGTH": str(10**6), **headers}
        body, status, _ = run_wsgi_app(self.app, variables, buffered=True)
        return int(status.split()[0]), json.loads(b"".join(body))["error"]

    def spend(self, amounts=DOLLAR):
        ledger = self.gateway.limits.ledger
        ledger.add(Row(ledger.today().isoformat(), self.who.name, "m", amounts))

    def take_all_places(self):
        """Take the places until the test ends, and return a function that gives them back."""
        self.leave = self.gateway.limits.admission.admit(1, Caller(Principal("other")))
        return self.leave

    def left(self):
        return int(note_headers(self.gateway.limits.rates.notes(self.who))[LEFT])


@pytest.fixture
def server(tmp_path):
    made = []

    def make(*args, **settings):
        made.append(Server(tmp_path, *args, **settings))
        return made[-1]

    yield make
    for one in made:
        one.leave()  # or the gateway would wait for it when the process ends
        one.gateway.close()


def code_of(response, status):
    assert response.status_code == status, response.data[:300]
    return response.json["error"]["code"]


# Before the body is read


def test_a_rate_is_checked_before_the_body_is_read(server):
    """A request over the rate is refused without a look at its body."""
    here = server(replace(TEN, requests_per_minute=1))
    assert here.post().status_code == 200
    status, error = here.ask_unread()
    assert (status, error["code"]) == (429, "rate_limit_exceeded")


def test_a_budget_is_checked_before_the_body_is_read(server):
    """A request of a key whose budget is spent is refused without a look at its body."""
    here = server()
    here.spend()
    status, error = here.ask_unread()
    assert (status, error["code"]) == (429, "insufficient_quota")


def test_shutting_down_counts_nothing(server):
    """A gateway that shuts down refuses before it counts: the request goes to another one."""
    here = server()
    here.gateway.lifecycle.draining = lambda: True
    status, error = here.ask_unread()
    assert (status, error["code"], here.left()) == (503, "unavailable", 10)


# Before the queue


@pytest.mark.parametrize(
    ("who", "fields", "status"),
    [
        (replace(TEN, models=("haiku",)), {"model": "opus"}, 403),
        (replace(TEN, concurrent_turns=1), {"n": 2}, 403),
        (TEN, {"n": 2}, 400),
        (TEN, {"model": "nonsense"}, 404),
        (TEN, {"temperature": "hot"}, 400),
        (TEN, {"messages": [{"role": "tool", "content": "1"}]}, 400),
    ],
)
def test_what_is_wrong_with_a_request_does_not_wait(server, who, fields, status):
    """A request that can never run is refused as such, and not because all places are taken."""
    here = server(who)
    here.take_all_places()
    assert here.post(**fields).status_code == status
    assert here.left() == 9


def test_a_request_over_its_rate_takes_no_place(server):
    """A request over its rate is refused at once where all places are taken."""
    here = server(replace(TEN, requests_per_minute=1), max_queue=5, queue_timeout=60)
    here.post()
    here.take_all_places()
    assert code_of(here.post(), 429) == "rate_limit_exceeded"
    assert here.gateway.limits.admission.load()["waiting"] == 0


def test_pictures_are_read_after_the_queue(server, monkeypatch):
    """No picture is decoded for a request that gets no place."""
    monkeypatch.setattr(images, "_inspect", lambda *_: pytest.fail("a picture was decoded"))
    here = server()
    here.take_all_places()
    image = part(picture())
    response = here.post(messages=[{"role": "user", "content": [image]}])
    assert code_of(response, 429) == "rate_limit_exceeded"


def test_a_budget_spent_in_the_queue(server):
    """A request that waited for a place while its key's budget was spent does not run."""
    here = server(max_queue=5, queue_timeout=60)
    leave, told = here.take_all_places(), []
    asking = threading.Thread(target=lambda: told.append(here.post()))
    asking.start()
    while not here.gateway.limits.admission.load()["waiting"]:
        assert asking.is_alive()
    here.spend()
    leave()
    asking.join(WAIT_SECONDS)
    assert code_of(told[0], 429) == "insufficient_quota"
    assert here.engine.turns == []


# What is refused counts


@pytest.mark.parametrize(
    "sent",
    [
        {"data": b"{"},
        {"data": b"x", "kind": "text/plain"},
        {"data": b"[1]"},
        {"messages": []},
        {"model": "nonsense"},
        {"messages": [{"role": "user", "content": [part(b"nonsense")]}]},
        {"data": b" " * (32 * 1024**2 + 1)},
    ],
    ids=["no JSON", "no type", "no object", "no messages", "no model", "no picture", "too large"],
)
def test_a_refused_request_counts(server, sent):
    """A request that is refused counts against the rate, and its answer tells what is left."""
    here = server()
    response = here.post(**sent)
    assert 400 <= response.status_code < 500
    assert (response.headers[LEFT], here.left()) == ("9", 9)
    assert response.headers["x-ratelimit-limit-tokens"] == "1000"


def test_refused_requests_use_the_rate_up(server):
    """Who sends nothing but nonsense is told, at the limit, to wait."""
    here = server(replace(TEN, requests_per_minute=3))
    statuses = [here.post(data=b"{").status_code for _ in range(4)]
    assert statuses == [400, 400, 400, 429]


def test_a_full_queue_counts(server):
    """A request for which there is no room counts, too."""
    here = server()
    here.take_all_places()
    response = here.post()
    assert (response.status_code, response.headers[LEFT]) == (429, "9")


def test_each_request_counts_once(server):
    """A request is counted once, whole or streamed, however many answers it asks for."""
    here = server(max_concurrent_turns=4)
    here.post(n=3)
    here.post(stream=True)
    assert here.left() == 8


def test_mistakes_from_within_count(server):
    """What the app's own code asks for somebody counts before it is looked at."""
    here = server()
    chat, caller = here.gateway.chat, Caller(TEN)
    with pytest.raises(InvalidRequest):
        chat.complete([USER], caller=caller, temperature="hot")
    chat.complete([USER], caller=caller)
    chat.stream([USER], caller=caller).close()
    assert here.left() == 7


# Answers that are repeated


def test_a_repeated_answer_needs_no_budget(server):
    """An answer that was lost is told again although it has used the budget up."""
    here, again = server(), {"Idempotency-Key": "one"}
    first = here.post(session_id="s", headers=again)
    here.spend()
    second = here.post(session_id="s", headers=again)
    assert second.status_code == 200
    assert second.json["choices"] == first.json["choices"]
    assert len(here.engine.turns) == 1


@pytest.mark.parametrize("headers", [{"Idempotency-Key": "a"}, {"x-stainless-retry-count": "1"}])
@pytest.mark.parametrize("session", [{}, {"session_id": "s"}])
def test_nobody_passes_as_a_repetition(server, headers, session):
    """A request that only says that it is a repetition is held to its budget before it runs."""
    here = server()
    here.spend()
    assert code_of(here.post(headers=headers, **session), 429) == "insufficient_quota"
    assert here.engine.turns == []


def test_a_repeated_answer_counts(server):
    """A request for an answer that is told again counts as a request."""
    here, again = server(), {"Idempotency-Key": "one"}
    for _ in range(3):
        here.post(session_id="s", headers=again)
    assert here.left() == 7


# What runs no turn


def test_reading_does_not_use_turns_up(server):
    """A key that may ask once a minute can look at its models and spending meanwhile."""
    here = server(replace(TEN, requests_per_minute=1))
    for path in ("/v1/models", "/v1/usage", "/v1/sessions") * 5:
        assert here.client.get(path).status_code == 200
    assert here.post().status_code == 200


@pytest.mark.parametrize("path", ["/v1/models", "/v1/usage", "/v1/sessions/nonsense"])
def test_reading_has_a_limit(server, path):
    """Requests that run no turn are limited, too: to those for turns, and at least 60 a minute."""
    here = server(replace(TEN, requests_per_minute=1))
    statuses = [here.client.get(path).status_code for _ in range(61)]
    assert 429 not in statuses[:60]
    assert statuses[60] == 429
    assert here.client.post("/v1/batches", json={}).status_code == 429
    assert here.client.get("/v1/health").status_code == 200


def test_without_limits_nothing_is_counted(server):
    """A caller without limits is never refused, and its errors tell of no rates."""
    here = server(Principal("free"))
    response = here.post(data=b"{")
    assert response.status_code == 400
    assert not [name for name in dict(response.headers) if "ratelimit" in name.lower()]


def test_direct_use_of_the_service_is_limited(tmp_path):
    """Whoever asks the service without having been admitted is counted there."""
    engine = ScriptedEngine()
    gateway = Gateway(Settings(usage_db=str(tmp_path / "u.db")), engine=engine)
    who = Caller(replace(TEN, requests_per_minute=1))
    gateway.chat.complete([USER], caller=who)
    with pytest.raises(RateLimited):
        gateway.chat.complete([USER], caller=who)
    poor = Caller(Principal("poor", usd_per_day=0))
    with pytest.raises(QuotaExceeded):
        gateway.chat.complete([USER], caller=poor)
    gateway.close()
