"""Sessions in Redis: many workers and gateways serve one, and none of them is needed for it."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from tests.support.redis_server import RedisServer
from tests.support.server import children, eventually
from tests.support.talk import Talk, note
from tests.support.team import Team

ATTEMPTS = 12


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
def start(serve, redis):
    """Start a gateway whose sessions are in Redis; what it is given are gunicorn's arguments."""

    def start(*arguments, **variables):
        settings = {"SESSION_STORE": redis.url, "POOL_SIZE": "1", "POOL_SIZE_OTHER": "1"}
        return serve(*arguments, **{**settings, "LOG_LEVEL": "debug", **variables}).wait()

    return start


def move(talk, server):
    """Go on with *talk* at another gateway."""
    moved = Talk(server, talk._profile, name=talk.id)
    moved.history = talk.history
    return moved


@pytest.mark.parametrize("profile", ["plain", "agent"])
def test_two_gateways(start, upstream, profile):
    """Two gateways on two ports serve one session, turn by turn."""
    one, other = start(), start()
    talk = Talk(one, profile)
    for number, server in enumerate((one, other, one, one, other)):
        talk = move(talk, server)
        talk.say(note(f"fact{number}"))
    answer = talk.say("[[recall]]")
    assert [f"fact{number}" in answer.text for number in range(5)] == [True] * 5
    assert talk.messages == talk.history
    assert talk.delete() == 200
    assert move(talk, one).read()[0] == 404


def test_four_workers(start):
    """Under `gunicorn -w 4` every worker serves the session, and those killed are not missed."""
    server = start("-w", "4")
    talk = Talk(server)
    for number in range(ATTEMPTS):
        talk.say(note(f"fact{number}"))
        if number in (3, 7):
            for worker in children(server.process.pid)[:2]:
                os.kill(worker, signal.SIGKILL)
                assert eventually(lambda: worker not in children(server.process.pid))  # noqa: B023
            assert eventually(lambda: len(children(server.process.pid)) == 4)
    answer = talk.say("[[recall]]")
    assert all(f"fact{number}" in answer.text for number in range(ATTEMPTS))
    talk.close()


def test_worker_killed_in_mid_turn(start, upstream):
    """A worker that dies in a turn holds the session for seconds only, and leaves it as it was."""
    server = start("-w", "2", SESSION_WAIT="60")
    talk = Talk(server)
    talk.say(note("before"))
    upstream.clear()
    talk._client = talk._client.with_options(max_retries=0)
    with pytest.raises(Exception, match=r"(?i)connection|disconnected|incomplete"):
        kill_during(talk, server, upstream)
    answer = talk.say("[[recall]]")
    assert "before" in answer.text
    assert "during" not in answer.text
    talk.close()


def kill_during(talk, server, upstream):
    """Say what stalls, and kill all workers as soon as the model was asked."""

    def kill():
        assert upstream.wait_for(lambda seen: len(seen) == 1)
        for worker in children(server.process.pid):
            os.kill(worker, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        talk.say("remember: during [[say ok]] [[stall 30]]")
    finally:
        killer.join()


@pytest.mark.parametrize("profile", ["plain", "agent"])
def test_restart(start, profile, tmp_path):
    """A gateway that is started anew goes on with the session, and its agent with its files."""
    folder = {"SESSION_DIR": str(tmp_path / "sessions")}
    first = start(**folder)
    talk = Talk(first, profile)
    talk.say(note("fact"))
    if profile == "agent":
        talk.say('[[tool Write {"file_path": "note.txt", "content": "kept"}]] [[say ok]]')
    first.process.kill()
    first.process.wait()
    talk = move(talk, start(**folder))
    assert "fact" in talk.say("[[recall]]").text
    if profile == "agent":
        assert "kept" in talk.say('[[tool Read {"file_path": "note.txt"}]] [[result]]').text
    talk.close()


def test_away_and_back(start, redis):
    """While Redis is away sessions are refused with the reason, and all else goes on."""
    server = start()
    talk = Talk(server)
    talk.say(note("before"))
    port = redis.port
    redis.stop()
    error = talk.fail("hello")
    assert error.status_code == 503
    assert "SESSION_STORE: Redis cannot be reached" in error.message
    assert talk.tell_all("hello").text
    for path in ("/v1/sessions", "/v1/sessions/stats", f"/v1/sessions/{talk.id}"):
        assert talk.call("GET", path)[0] == 503
    assert eventually(lambda: server.health()["sessions"]["status"] == "failing")
    assert server.health()["status"] == "degraded"
    redis.start(port)
    talk.history.clear()  # this Redis keeps nothing when it stops
    talk.say(note("after"))
    assert "after" in talk.say("[[recall]]").text
    assert eventually(lambda: server.health()["status"] == "ok")
    talk.close()


def test_goes_away_in_mid_turn(start, redis, upstream):
    """A turn that cannot be remembered ends with an error, and is not tried again by itself."""
    server = start()
    talk = Talk(server)
    talk.say(note("before"))
    port = redis.port
    upstream.clear()

    def stop():
        assert upstream.wait_for(lambda seen: len(seen) == 1)
        redis.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    error = talk.fail("[[deltas 3]] [[pause 1]]")
    stopper.join()
    assert error.status_code == 503
    assert error.response.headers["x-should-retry"] == "false"
    redis.start(port)


def test_owners(start, redis, tmp_path):
    """On a shared Redis, too, a session is its owner's alone."""
    team = Team(start, tmp_path, {"alice": {}, "bob": {}}, REDIS_URL=redis.url)
    asked = {"session_id": "same", "claude": {"profile": "plain"}}
    assert team.ask("alice", note("hers"), **asked)[0] == 200
    status, _, body = team.call("bob", "GET", "/v1/sessions/same")
    assert (status, body["error"]["code"]) == (404, "session_not_found")
    assert team.call("bob", "GET", "/v1/sessions")[2]["total"] == 0
    assert team.call("bob", "DELETE", "/v1/sessions/same")[0] == 404
    assert team.call("alice", "GET", "/v1/sessions")[2]["total"] == 1
