"""Without disk, descriptors, memory or Redis errors say so, turns go on, and the gateway recovers.

The tests take these away by the system's own limits, and Redis by stopping it.
"""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.faults import asked, lasting, play, program
from tests.support.redis_server import RedisServer
from tests.support.server import Server, eventually
from tests.support.session_client import remember
from tests.support.socket_client import Client, request
from wrapper.testing.upstream import Upstream

SOON = 30.0  # five times what it may need to recover
POOLS = {"POOL_SIZE": "1", "POOL_SIZE_OTHER": "2"}


@contextlib.contextmanager
def limited(server: Server, what: int, soft: int) -> Iterator[None]:
    """Set a resource limit of the worker."""
    worker = server.worker
    before = resource.prlimit(worker, what)
    resource.prlimit(worker, what, (soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(worker, what, before)
    assert server.worker == worker  # the same worker still runs


def descriptors(server: Server, left: int) -> contextlib.AbstractContextManager[None]:
    """Let the worker open only *left* more files and connections."""
    used = {int(one.name) for one in Path(f"/proc/{server.worker}/fd").iterdir()}
    free = (number for number in range(2**20) if number not in used)
    for _ in range(left):
        next(free)
    return limited(server, resource.RLIMIT_NOFILE, next(free))


def refusal(server: Server, told: str = "hello", **more: Any) -> str:
    """Return the reason why a turn is refused, or an empty text if it is not."""
    outcome = play(server, told, **more)
    if outcome.error is None:
        return ""
    assert (outcome.status, outcome.error["code"]) == (503, "unavailable")
    return str(outcome.error["message"])


def is_well(server: Server, before: dict[str, int]) -> None:
    """Check that the server recovers by itself, works, and holds what it held before."""
    assert eventually(lambda: server.health()["status"] == "ok", SOON), server.health()
    # Right after the health is well a turn may be refused, since it counts descriptors less often.
    assert eventually(lambda: play(server, "hello").text == "ok", SOON)
    assert play(server, "hello", profile="agent").text == "ok"
    assert server.comes_back_to(before)


# The disk


@pytest.fixture
def disk(tmp_path):
    """A small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(
            f"no disk can be mounted here; a limit on files is tested all the same: {error}"
        )
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fill the file system."""
    waste = folder / "waste"
    with waste.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 512)
    try:
        yield
    finally:
        waste.unlink()


def test_full_disk(serve, faulty_claude):
    """Warm processes answer and no other starts. Usage waits in memory and is stored later."""
    server = serve(CLAUDE_CLI_PATH=faulty_claude, **POOLS).wait()
    play(server, "hello")
    before = lasting(server)
    with limited(server, resource.RLIMIT_FSIZE, 0):
        for _ in range(2):
            assert play(server, "hello").text == "ok"
        assert eventually(lambda: "TMPDIR" in refusal(server), SOON)
        health = server.health()
        assert health["usage"]["unbooked"] == 1
        assert "USAGE_DB" in health["usage"]["error"]
        assert "TMPDIR" in health["pools"]["plain"]["error"]
        assert "Traceback" not in str(health)
        # A process that could not start leaves no directory.
        folders = server.temporary.glob("claude-gateway-*/*/")
        assert len(server.claudes()) == len(list(folders)) == 1
    assert requests_booked(server) == 3
    is_well(server, before)


def test_full_disk_of_the_usage_store(disk, serve, faulty_claude):
    """If only the disk of USAGE_DB is full, turns go on, and their usage is stored later."""
    server = serve(CLAUDE_CLI_PATH=faulty_claude, USAGE_DB=str(disk / "usage.db"), **POOLS).wait()
    play(server, "hello")
    before = lasting(server)
    with filled(disk):
        for _ in range(3):
            assert play(server, "hello").text == "ok"
        health = server.health()
        assert (health["status"], health["usage"]["unbooked"]) == ("degraded", 1)
        assert "make room" in health["usage"]["error"]
    assert requests_booked(server) == 4
    is_well(server, before)


def requests_booked(server: Server) -> int:
    """Return how many requests the usage store has, once all are stored."""
    assert eventually(lambda: server.health()["usage"]["status"] == "ok", SOON), server.health()
    status, _, data = server.call("GET", "/v1/usage")
    assert status == 200, data
    return int(json.loads(data)["total"]["requests"])


def test_full_disk_and_required_usage(serve, faulty_claude):
    """With USAGE_REQUIRED no turn begins while usage cannot be stored."""
    server = serve(CLAUDE_CLI_PATH=faulty_claude, USAGE_REQUIRED="true", **POOLS).wait()
    assert play(server, "hello").text == "ok"
    with limited(server, resource.RLIMIT_FSIZE, 0):
        for _ in range(2):
            assert "USAGE_REQUIRED" in refusal(server)
    assert eventually(lambda: server.health()["status"] == "ok", SOON)
    assert play(server, "hello").text == "ok"


def test_full_log(serve, faulty_claude):
    """Every turn is answered or refused as usual while the log cannot be written."""
    port = free_port()
    server = serve(
        *("--capture-output", "--error-logfile", "/dev/full"),
        **{"CLAUDE_CLI_PATH": faulty_claude, "PORT": str(port), "LOG_LEVEL": "debug", **POOLS},
    )
    server.port, server.url = port, f"http://127.0.0.1:{port}/v1"
    assert eventually(lambda: listens(port))
    assert eventually(lambda: server.health()["status"] == "ok")
    for stream in (False, True):
        assert play(server, "hello", stream=stream).text == "ok"
        assert play(server, "[[leave]]").status == 502
    assert server.call("POST", "/v1/chat/completions", {"messages": []})[0] == 400
    assert server.stop() in (0, 120)  # Python's status if stderr cannot be written
    assert not server.log()


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def test_no_room_for_a_workspace(serve, faulty_claude, tmp_path):
    """A session whose directory cannot be made is refused with the reason, until it can be."""
    sessions = tmp_path / "sessions"
    sessions.write_text("in the way")
    server = serve(CLAUDE_CLI_PATH=faulty_claude, SESSION_DIR=str(sessions), **POOLS).wait()
    assert "working directory" in refusal(server, profile="agent", session_id="a")
    sessions.unlink()
    assert play(server, "hello", profile="agent", session_id="a").text == "ok"


# File descriptors


@pytest.fixture
def small(serve, faulty_claude):
    """A gateway of each test's own: its processes and its log tell what the test did."""
    server = serve(CLAUDE_CLI_PATH=faulty_claude, **POOLS).wait()
    play(server, "hello")
    return server


def test_few_descriptors(small):
    """With few descriptors left turns are refused with the reason, and /health still answers."""
    before = lasting(small)
    with descriptors(small, 30):
        for _ in range(3):
            assert "file descriptors" in refusal(small)
        health = small.health()
        assert health["status"] == "degraded"
        assert "file descriptors" in health["machine"]["error"]
    is_well(small, before)


def test_no_descriptors(small):
    """With no descriptors left nobody is accepted and running turns go on. Then all are served."""
    before = lasting(small)
    with contextlib.ExitStack() as waiting:
        running = waiting.enter_context(Client(small))
        running.send(request("[[begin]]", stream=True)).read_until(b'"ok"')
        with limited(small, resource.RLIMIT_NOFILE, 3):  # fewer than it has open
            late = waiting.enter_context(Client(small))
            late.send(request("hello"))
            assert eventually(lambda: "accepting no connections" in small.log(), SOON)
            assert len(asked(small)) == 1
        assert b'"content":"ok"' in late.read_until(b'"content":"ok"')
        assert eventually(lambda: len(asked(small)) == 1)
    is_well(small, before)


# Memory


def test_little_memory(small):
    """A request that needs more memory than there is gets an error; small ones are answered."""
    before = lasting(small)
    size = int(Path(f"/proc/{small.worker}/statm").read_text().split()[0])
    spare = 24_000_000  # enough for a thread, and less than the body
    with limited(small, resource.RLIMIT_AS, size * resource.getpagesize() + spare):
        for _ in range(3):
            assert "memory" in refusal(small, "x" * 30_000_000)
            assert play(small, "hello").text == "ok"
        assert small.call("GET", "/health")[0] == 200
    is_well(small, before)


def test_processes_without_memory(serve, faulty_claude, tmp_path):
    """While processes have no memory to start, turns are refused with the reason."""
    short = tmp_path / "short"
    short.touch()
    limited = f"[ -e {short} ] && ulimit -v 8000"
    binary = program(tmp_path, limited, f'exec {faulty_claude} "$@"')
    server = serve(CLAUDE_CLI_PATH=binary, **POOLS).listen()
    assert eventually(lambda: server.health()["status"] == "failing", SOON)
    assert "No Claude Code process could be started" in refusal(server)
    short.unlink()
    assert eventually(lambda: server.health()["status"] == "ok", SOON), server.health()
    assert play(server, "hello").text == "ok"
    server.at_rest()


# Redis


@pytest.fixture
def redis(tmp_path):
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder).start()
    yield server
    server.stop()


@pytest.mark.parametrize("hangs", [False, True])
def test_redis_away_and_back(serve, redis, upstream, new_session, hangs):
    """Without Redis, turns of sessions are refused, running ones too; others are answered.

    Redis is stopped, or hangs as on a machine that hangs. Once it is back, all works again.
    """
    url = f"{redis.url}?socket_timeout=0.5"
    server = serve(SESSION_STORE=url, REDIS_URL=url, **POOLS).wait()
    session = new_session(server)
    session.ask(remember("before"))
    upstream.clear()
    going = threading.Thread(target=go_away, args=(redis, upstream, hangs))
    going.start()
    under_way = session.ask_failing("[[wait 5]] [[deltas 3]]")  # nothing is booked before
    going.join()
    for error in (under_way, session.ask_failing("hello")):
        assert (error.status_code, error.code) == (503, "unavailable")
        assert "SESSION_STORE: Redis cannot be reached" in error.message
    assert under_way.response.headers["x-should-retry"] == "false"
    assert session.ask_without_session("[[say alone]]").text == "alone"
    health = server.health()
    assert (health["status"], health["usage"]["status"]) == ("degraded", "failing")
    if hangs:
        redis.thaw()
    else:
        redis.start(redis.port)
    # A Redis that hung has kept the first turn, one that was stopped has not.
    assert requests_booked(server) == (3 if hangs else 2)
    assert eventually(lambda: server.health()["status"] == "ok", SOON), server.health()
    again = new_session(server)
    again.ask(remember("after"))
    assert again.ask("[[recall]]").text == "after"
    server.at_rest()


def go_away(redis: RedisServer, upstream: Upstream, hangs: bool) -> None:
    """Stop or freeze Redis once the model is asked."""
    assert upstream.wait_for(bool)
    if hangs:
        redis.freeze()
    else:
        redis.stop()
