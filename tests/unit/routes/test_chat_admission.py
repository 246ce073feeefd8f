"""Chat completions when the gateway is full, shuts down, or the client leaves."""

import os
import threading

import pytest

from tests.support.scripted_server import (
    CHAT_BODY,
    CHAT_PATH,
    DONE,
    HOUR,
    ScriptedServer,
    error_of,
    frames_of,
)
from wrapper import errors
from wrapper.services.events import (
    Acquisition,
    Started,
    TextDelta,
)

pytestmark = pytest.mark.packages


def test_capacity():
    """Turns that do not fit and may not wait get 429 at once, and nothing is asked for them."""
    server = ScriptedServer(Started("m"), HOUR, max_concurrent_turns=2, max_queue=0)
    running = server.client.post(CHAT_PATH, json={**CHAT_BODY, "stream": True})
    response = server.ask(n=2)
    running.close()
    assert error_of(response, 429)["code"] == "rate_limit_exceeded"
    assert response.headers["Retry-After"] == "1"
    assert len(server.engine.turns) == 1


@pytest.mark.parametrize("step", [TextDelta("a"), errors.Overloaded("Busy."), KeyError("x")])
@pytest.mark.parametrize("stream", [False, True])
def test_places_are_given_back(step, stream):
    """However a request ends, its place is free for the next."""
    server = ScriptedServer(Started("m"), step, DONE, max_concurrent_turns=1)
    statuses = [server.ask(stream=stream).status_code for _ in range(3)]
    assert 429 not in statuses
    assert len(server.engine.turns) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_client_gone(stream):
    """When the client has left its turn is ended, and its place given back."""
    server = ScriptedServer(Started("m"), HOUR, max_concurrent_turns=1)
    reading, writing = os.pipe()
    with open(reading, "rb") as connection:
        os.close(writing)
        response = server.ask(stream=stream, environ={"werkzeug.socket": connection})
    assert error_of(response, 408)["code"] == "client_gone"
    assert server.engine.running == 0


def test_client_leaves_a_stream():
    """A stream whose reader has left just ends, without a word, and its turn with it."""
    server = ScriptedServer(Started("m"), HOUR)
    reading, writing = os.pipe()
    with open(reading, "rb") as connection:
        response = server.client.post(
            CHAT_PATH,
            json={**CHAT_BODY, "stream": True},
            environ_overrides={"werkzeug.socket": connection},
        )
        assert server.engine.running == 1
        os.close(writing)
        (role,) = frames_of(response)
    assert role["choices"][0]["finish_reason"] is None
    assert server.engine.running == 0


def test_stream_that_nobody_reads():
    """A stream that is closed before its end ends its turn and gives its place back."""
    server = ScriptedServer(Started("m"), HOUR, max_concurrent_turns=1)
    response = server.client.post(CHAT_PATH, json={**CHAT_BODY, "stream": True})
    assert server.engine.running == 1
    response.close()
    assert server.engine.running == 0
    again = server.client.post(CHAT_PATH, json={**CHAT_BODY, "stream": True})
    assert again.status_code == 200
    again.close()


@pytest.fixture
def full():
    """A server whose one place is taken."""
    server = ScriptedServer(Started("m"), HOUR, max_concurrent_turns=1)
    running = server.client.post(CHAT_PATH, json={**CHAT_BODY, "stream": True})
    yield server
    running.close()


def test_client_leaves_while_it_waits(full):
    """Who leaves before there is a place for its turn gets none, and nothing is asked for it."""
    reading, writing = os.pipe()
    with open(reading, "rb") as connection:
        threading.Timer(0.1, os.close, [writing]).start()
        response = full.ask(environ={"werkzeug.socket": connection})
    assert error_of(response, 408)["code"] == "client_gone"
    assert len(full.engine.turns) == 1


def test_shutdown_while_it_waits(full):
    """Who waits for a place when the gateway is told to stop is told so, and to ask again."""
    told = iter([False])  # when it is asked for, and shutting down from then on
    full.app.extensions["wrapper"].lifecycle.draining = lambda: next(told, True)
    response = full.ask()
    assert error_of(response, 503)["code"] == "unavailable"
    assert response.headers["Retry-After"] == "1"
    assert len(full.engine.turns) == 1


def test_timing():
    """An answer tells what its parts took: a whole one all, a stream what is known at its begin."""
    had = Started("m", acquisition=Acquisition("warm", 0.001, 0.02))
    server = ScriptedServer(had, TextDelta("a"), 0.05, DONE)
    for stream, names in ((False, ["first_token", "total"]), (True, ["first_token"])):
        told = server.ask(stream=stream).headers["Server-Timing"]
        parts = [part.split(";") for part in told.split(", ")]
        assert [part[0] for part in parts] == ["queue", "lease", "configure", *names]
        assert parts[1] == ["lease", "dur=1.0", "desc=warm"]
        took = {part[0]: float(part[1].removeprefix("dur=")) for part in parts}
        assert took.get("total", 1000) > 50 > took["first_token"]


@pytest.mark.parametrize("stream", [False, True])
def test_timing_of_an_error(stream):
    """An error tells what its parts took, too; a request that is none has no parts."""
    server = ScriptedServer(errors.Overloaded("Busy."))
    told = server.ask(stream=stream).headers["Server-Timing"]
    assert [part.partition(";")[0] for part in told.split(", ")] == ["queue", "total"]
    assert "Server-Timing" not in server.ask(messages="?").headers


def test_timing_of_a_refusal(full):
    """Who waited in vain is told for how long."""
    full.app.extensions["wrapper"].admission._patience = 0.1
    response = full.ask()
    error_of(response, 429)
    waited = response.headers["Server-Timing"].split(", ")[0]
    assert 100 <= float(waited.removeprefix("queue;dur=")) < 5000


@pytest.mark.parametrize("begun", [False, True])
def test_shutdown(begun):
    """At shutdown a turn that outlasts its grace is ended, with 503 or an error event."""
    steps = [Started("m")] if begun else []
    server = ScriptedServer(*steps, HOUR, graceful_timeout=0)
    gateway = server.app.extensions["wrapper"]
    told = iter([False])  # when it is asked for, and shutting down from then on
    gateway.lifecycle.draining = lambda: next(told, True)
    response = server.ask(stream=True)
    if begun:
        assert frames_of(response)[-1]["error"]["code"] == "unavailable"
    else:
        assert error_of(response, 503)["code"] == "unavailable"
    assert server.engine.running == 0


def test_no_new_turns_at_shutdown():
    """While it shuts down the gateway begins no turn: a client is to ask again, elsewhere."""
    server = ScriptedServer()
    server.app.extensions["wrapper"].lifecycle.draining = lambda: True
    response = server.ask()
    assert error_of(response, 503)["code"] == "unavailable"
    assert response.headers["Retry-After"] == "1"
    assert server.engine.turns == []
