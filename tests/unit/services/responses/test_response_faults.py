"""Stores of responses that fail: what the client gets, and when."""

import flask
import pytest

from tests.support.lost_answers import fail_once
from tests.support.responses import HI, PATH
from tests.support.scripted_server import error_of
from wrapper import Gateway
from wrapper.errors import Unavailable
from wrapper.services.responses.memory_store import MemoryResponseStore
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, answer

AWAY = "SESSION_STORE: Redis cannot be reached; start it, or mend the URL"


class Store(MemoryResponseStore):
    """A store that cannot be reached while it is `away`, which is `known` from its health."""

    def __init__(self):
        super().__init__(ttl=100, count=100, size=10**7)
        self.away = self.known = False

    def put(self, owner, id_, value):
        self._check()
        return super().put(owner, id_, value)

    def read(self, owner, ids):
        self._check()
        return super().read(owner, ids)

    def health(self):
        return {"status": "failing", "error": AWAY} if self.known else super().health()

    def _check(self):
        if self.away:
            raise Unavailable(AWAY)


class App:
    """A Flask app with a gateway whose responses are in *store*."""

    def __init__(self, store):
        self.store = store
        self.engine = ScriptedEngine(lambda turn: answer("Hello."))
        app = flask.Flask(__name__)
        Gateway(Settings(), engine=self.engine, responses=store).init_app(app)
        self.client = app.test_client()

    def ask(self, **fields):
        return self.client.post(PATH, json={"input": [HI], **fields}, buffered=True)


@pytest.fixture
def app():
    return App(Store())


def test_own_store(app):
    """An app's own store holds what the gateway keeps, under the caller's name and the id."""
    id_ = app.ask().json["id"]
    assert app.store.read("local", [id_])[0]
    assert app.client.get(f"{PATH}/{id_}").json["id"] == id_
    assert app.client.get("/v1/health").json["responses"] == {"status": "ok"}


def test_write_fails(app):
    """A response that cannot be stored is a 503 that must not be repeated."""
    app.store.away = True
    response = app.ask()
    assert error_of(response, 503)["code"] == "unavailable"
    assert response.headers["x-should-retry"] == "false"


def test_write_fails_in_a_stream(app):
    """A stream whose response cannot be stored fails, and its id is not valid."""
    app.store.away = True
    text = app.ask(stream=True).data.decode()
    last = text.rstrip().rpartition("\n\n")[2]
    assert last.startswith("event: response.failed\n")
    assert '"store":false' in last
    app.store.away = False
    id_ = text.partition('"id":"')[2].partition('"')[0]
    assert app.client.get(f"{PATH}/{id_}").status_code == 404


def test_renewal_fails(app):
    """A response is answered although those before it could not be kept for longer."""
    first = app.ask().json["id"]

    app.store.touch = fail_once(app.store.touch)
    second = app.ask(previous_response_id=first)
    assert second.status_code == 200
    assert app.client.get(f"{PATH}/{second.json['id']}").status_code == 200


def test_known_to_be_away(app):
    """While the store is known to be away, no turn runs for a response that is to be stored."""
    app.store.known = True
    error = error_of(app.ask(), 503)
    assert error["message"] == f"{AWAY}; or send store: false."
    assert app.engine.turns == []
    assert app.ask(store=False).status_code == 200
    assert app.client.get("/v1/health").json["status"] == "degraded"


def test_read_fails(app):
    """What cannot be read is a 503, never a missing response."""
    id_ = app.ask().json["id"]
    app.store.away = True
    for response in (
        app.client.get(f"{PATH}/{id_}"),
        app.ask(previous_response_id=id_),
        app.ask(input=[{"id": f"msg_{id_.removeprefix('resp_')}_0"}]),
    ):
        error_of(response, 503)


def test_unreadable(app):
    """A value that the gateway has not written is a 502 that says what to do."""
    id_ = app.ask().json["id"]
    app.store.put("local", id_, b"x")
    for response in (app.client.get(f"{PATH}/{id_}"), app.ask(previous_response_id=id_)):
        error = error_of(response, 502)
        assert error["code"] == "response_unreadable"
        assert error["message"].endswith("delete it")
    assert app.client.delete(f"{PATH}/{id_}").status_code == 200
