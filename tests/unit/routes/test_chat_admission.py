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
    """Without a queue, turns that exceed the capacity get 429 at once, and none of them runs."""
    server = ScriptedServer(Started("m"), HOUR, max_concurrent_turns=2, max_queue=0)
    running = server.client.post(CHAT_PATH, json={**CHAT_BODY, "stream": True})
    response = server.ask(n=2)
    running.close()
    assert error_of(response, 429)["code"] == "rate_limit_exceeded"
    assert response.headers["Retry-After"] == "1"
    assert len(server.engine.turns) == 1


@pytest.mark.parametrize("step", [TextDelta("a"), errors.Overloaded("Busy."), KeyError("x")])
@pytest.mark.parametrize("stream", [False, True])
def test_capacity_is_released(step, stream):
    """However a request ends, the next one can run."""
    server = ScriptedServer(Started("m"), step, DONE, max_concurrent_turns=1)
    statuses = [server.ask(stream=stream).status_code for _ in range(3)]
    assert 429 not in statuses
    assert len(server.engine.turns) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_client_gone(stream):
    """When the client has left, its turn is cancelled and its capacity is released."""
    server = ScriptedServer(Started("m"), HOUR, max_concurrent_turns=1)
    reading, writing = os.pipe()
    with open(reading, "rb") as connection:
        os.close(writing)
        response = server.ask(stream=stream, environ={"werkzeug.socket": connection})
    assert error_of(response, 408)["code"] == "client_gone"
    assert server.engine.running == 0


def test_client_leaves_a_stream():
    """A stream whose client has left ends silently, and its turn is cancelled."""
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


def test_closed_stream():
    """Closing a stream early cancels its turn and releases its capacity."""
    server = ScriptedServer(Started("m"), HOUR, max_concurrent_turns=1)
    response = server.client.post(CHAT_PATH, json={**CHAT_BODY, "stream": True})
    assert server.engine.running == 1
    response.close()
    assert server.engine.running == 0
    again = server.client.post(CHAT_PATH, json={**CHAT_BODY, "stream": True})
    assert again.status_code == 200
    again.close()


@pytest.fixture
def full_server():
    """A server whose capacity of one turn is used up."""
    server = ScriptedServer(Started("m"), HOUR, max_concurrent_turns=1)
    running = server.client.post(CHAT_PATH, json={**CHAT_BODY, "stream": True})
    yield server
    running.close()


def test_client_leaves_the_queue(full_server):
    """A client that leaves the queue gets 408, and its turn does not run."""
    reading, writing = os.pipe()
    with open(reading, "rb") as connection:
        threading.Timer(0.1, os.close, [writing]).start()
        response = full_server.ask(environ={"werkzeug.socket": connection})
    assert error_of(response, 408)["code"] == "client_gone"
    assert len(full_server.engine.turns) == 1


def test_shutdown_while_queued(full_server):
    """A request in the queue at shutdown gets 503 with Retry-After."""
    answers = iter([False])  # not draining on arrival, and draining from then on
    full_server.app.extensions["wrapper"].lifecycle.draining = lambda: next(answers, True)
    response = full_server.ask()
    assert error_of(response, 503)["code"] == "unavailable"
    assert response.headers["Retry-After"] == "1"
    assert len(full_server.engine.turns) == 1


def test_timing():
    """Server-Timing lists every phase of an answer; of a stream, those up to its first token."""
    started = Started("m", acquisition=Acquisition("warm", 0.001, 0.02))
    server = ScriptedServer(started, TextDelta("a"), 0.05, DONE)
    for stream, names in ((False, ["first_token", "total"]), (True, ["first_token"])):
        timing = server.ask(stream=stream).headers["Server-Timing"]
        parts = [part.split(";") for part in timing.split(", ")]
        assert [part[0] for part in parts] == ["queue", "lease", "configure", *names]
        assert parts[1] == ["lease", "dur=1.0", "desc=warm"]
        took = {part[0]: float(part[1].removeprefix("dur=")) for part in parts}
        assert took.get("total", 1000) > 50 > took["first_token"]


@pytest.mark.parametrize("stream", [False, True])
def test_timing_of_an_error(stream):
    """Server-Timing also stands on errors of turns, but not on requests that are not valid."""
    server = ScriptedServer(errors.Overloaded("Busy."))
    timing = server.ask(stream=stream).headers["Server-Timing"]
    assert [part.partition(";")[0] for part in timing.split(", ")] == ["queue", "total"]
    assert "Server-Timing" not in server.ask(messages="?").headers


def test_timing_of_a_refusal(full_server):
    """A request that waited in vain reports its time in the queue."""
    full_server.app.extensions["wrapper"].limits.admission._timeout = 0.1
    response = full_server.ask()
    error_of(response, 429)
    waited = response.headers["Server-Timing"].split(", ")[0]
    assert 100 <= float(waited.removeprefix("queue;dur=")) < 5000


@pytest.mark.parametrize("has_begun", [False, True])
def test_shutdown(has_begun):
    """A turn that outlasts the grace period at shutdown ends with 503 or an error event."""
    steps = [Started("m")] if has_begun else []
    server = ScriptedServer(*steps, HOUR, graceful_timeout=1)
    gateway = server.app.extensions["wrapper"]
    gateway.lifecycle.draining = lambda: bool(server.engine.turns)  # once the turn runs
    response = server.ask(stream=True)
    if has_begun:
        assert frames_of(response)[-1]["error"]["code"] == "unavailable"
    else:
        assert error_of(response, 503)["code"] == "unavailable"
    assert server.engine.running == 0


def test_no_new_turns_at_shutdown():
    """During shutdown no turn begins; the client gets 503 with Retry-After."""
    server = ScriptedServer()
    server.app.extensions["wrapper"].lifecycle.draining = lambda: True
    response = server.ask()
    assert error_of(response, 503)["code"] == "unavailable"
    assert response.headers["Retry-After"] == "1"
    assert server.engine.turns == []
