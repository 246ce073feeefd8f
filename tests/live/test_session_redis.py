"""Sessions in Redis: many workers and gateways serve a session, and each can fail."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.redis_server import RedisServer
from tests.support.server import children, eventually
from tests.support.session_client import remember

ATTEMPTS = 12


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
def start(serve, redis):
    """Return a function that starts a gateway with sessions in Redis and gunicorn's arguments."""

    def start(*arguments, **variables):
        settings = {"SESSION_STORE": redis.url, "POOL_SIZE": "0", "POOL_SIZE_OTHER": "1"}
        return serve(*arguments, **{**settings, "LOG_LEVEL": "debug", **variables}).wait()

    return start


@pytest.fixture
def move(new_session):
    """Return a function that makes a client of the same session at another gateway."""

    def move(session, server):
        moved = new_session(server, session._profile, name=session.id)
        moved.history = session.history
        return moved

    return move


def test_two_gateways(start, new_session, move):
    """Two gateways serve one session by turns."""
    one, other = start(), start()
    session = new_session(one)
    for number, server in enumerate((one, other, one, one, other)):
        session = move(session, server)
        session.ask(remember(f"fact{number}"))
    answer = session.ask("[[recall]]")
    assert [f"fact{number}" in answer.text for number in range(5)] == [True] * 5
    assert session.messages == session.history
    assert session.delete() == 200
    assert move(session, one).get()[0] == 404


def test_four_workers(start, new_session):
    """With `gunicorn -w 4` every worker serves the session, and killed workers do not matter."""
    server = start("-w", "4")
    session = new_session(server)
    for number in range(ATTEMPTS):
        session.ask(remember(f"fact{number}"))
        if number in (3, 7):
            for worker in children(server.process.pid)[:2]:
                os.kill(worker, signal.SIGKILL)
                assert eventually(lambda: worker not in children(server.process.pid))  # noqa: B023
            assert eventually(lambda: len(children(server.process.pid)) == 4)
    answer = session.ask("[[recall]]")
    assert all(f"fact{number}" in answer.text for number in range(ATTEMPTS))


@pytest.mark.thorough
def test_worker_killed_in_mid_turn(start, upstream, new_session):
    """A worker killed in mid-turn locks the session only for seconds, and leaves it as it was."""
    server = start("-w", "2", SESSION_WAIT="60")
    session = new_session(server)
    session.ask(remember("before"))
    upstream.clear()
    with pytest.raises(Exception, match=r"(?i)connection|disconnected|incomplete"):
        kill_during(session, server, upstream)
    answer = session.ask("[[recall]]")
    assert "before" in answer.text
    assert "during" not in answer.text


def kill_during(session, server, upstream):
    """Ask for a stalled answer, and kill all workers once the model is asked."""

    def kill():
        assert upstream.wait_for(lambda seen: len(seen) == 1)
        for worker in children(server.process.pid):
            os.kill(worker, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        session.ask("remember: during [[say ok]] [[stall 30]]")
    finally:
        killer.join()


def test_restart(start, new_session, move, tmp_path):
    """After a restart the session goes on, and its agent still has its files."""
    settings = {"SESSION_DIR": str(tmp_path / "sessions"), "DEFAULT_PROFILE": "plain"}
    first = start(**settings)
    session = new_session(first, "agent")
    session.ask(remember("fact"))
    session.ask('[[tool Write {"file_path": "note.txt", "content": "kept"}]] [[say ok]]')
    first.process.kill()
    first.process.wait()
    session = move(session, start(**settings))
    assert "fact" in session.ask("[[recall]]").text
    assert "kept" in session.ask('[[tool Read {"file_path": "note.txt"}]] [[result]]').text


@pytest.mark.thorough
def test_away_and_back(start, redis, new_session):
    """Without Redis sessions are refused with the reason, and all else works."""
    server = start()
    session = new_session(server)
    session.ask(remember("before"))
    port = redis.port
    redis.stop()
    error = session.ask_failing("hello")
    assert error.status_code == 503
    assert "SESSION_STORE: Redis cannot be reached" in error.message
    assert session.ask_without_session("hello").text
    for path in ("/v1/sessions", "/v1/sessions/stats", f"/v1/sessions/{session.id}"):
        assert session.call("GET", path)[0] == 503
    assert eventually(lambda: server.health()["sessions"]["status"] == "failing")
    assert server.health()["status"] == "degraded"
    redis.start(port)
    session.history.clear()  # this Redis keeps nothing when it stops
    session.ask(remember("after"))
    assert "after" in session.ask("[[recall]]").text
    assert eventually(lambda: server.health()["status"] == "ok")


@pytest.mark.thorough
def test_goes_away_in_mid_turn(start, redis, upstream, new_session):
    """A turn that cannot be stored ends with an error that must not be retried."""
    server = start()
    session = new_session(server)
    session.ask(remember("before"))
    port = redis.port
    upstream.clear()

    def stop():
        assert upstream.wait_for(lambda seen: len(seen) == 1)
        redis.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    error = session.ask_failing("[[deltas 3]] [[pause 1]]")
    stopper.join()
    assert error.status_code == 503
    assert error.response.headers["x-should-retry"] == "false"
    redis.start(port)


def test_owners(start, redis, tmp_path):
    """In a shared Redis, too, a session exists only for its key."""
    keyed = KeyedGateway(start, tmp_path, {"alice": {}, "bob": {}}, REDIS_URL=redis.url)
    asked = {"session_id": "same", "claude": {"profile": "plain"}}
    assert keyed.ask("alice", remember("hers"), **asked)[0] == 200
    status, _, body = keyed.call("bob", "GET", "/v1/sessions/same")
    assert (status, body["error"]["code"]) == (404, "session_not_found")
    assert keyed.call("bob", "GET", "/v1/sessions")[2]["total"] == 0
    assert keyed.call("bob", "DELETE", "/v1/sessions/same")[0] == 404
    assert keyed.call("alice", "GET", "/v1/sessions")[2]["total"] == 1
