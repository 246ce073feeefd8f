"""Whatever 64 clients do at once, the gateway serves others and keeps nothing of them."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.faults import ask, asked, lasting, outcome
from tests.support.server import alive, eventually
from tests.support.socket_client import PATH, Client, request

MANY = 64
PATIENCE = 4  # CLIENT_TIMEOUT
HEALTH_SECONDS = 5.0  # five times what is promised
SOON = 25.0  # five times what a turn may need to end
STOPPING = 35.0  # less than GRACEFUL_TIMEOUT and the time until gunicorn kills the worker
REFUSED = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
TOLD = {"before the first token": "[[still]]", "in mid-stream": "[[begin]]"}


@pytest.fixture(scope="module")
def _crowded(_servers, faulty_claude):
    return _servers(
        CLAUDE_CLI_PATH=faulty_claude,
        CLIENT_TIMEOUT=str(PATIENCE),
        MAX_CONCURRENT_TURNS=str(MANY),
        POOL_SIZE="1",
        POOL_SIZE_OTHER="4",
        SESSION_WAIT="50",
    ).wait()


@pytest.fixture
def crowded(_crowded):
    """A gateway with room for all clients' turns. After each test it holds what it held before."""
    assert ask(_crowded, "")[0] == 200
    before = lasting(_crowded)
    yield _crowded
    assert outcome(*ask(_crowded, "")) == (200, None)
    assert _crowded.comes_back_to(before)
    assert "Traceback" not in _crowded.log()  # faults of clients are expected


@contextlib.contextmanager
def many(server, kinds=1):
    """Yield MANY clients of each kind, and close them at the end."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Client(server)) for _ in range(MANY * kinds)]


def is_well(server):
    """Say whether /health answers in time, three times in a row."""
    for _ in range(3):
        began = time.monotonic()
        server.health()
        if time.monotonic() - began > HEALTH_SECONDS:
            return False
    return True


@pytest.mark.thorough
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("told", TOLD.values(), ids=TOLD)
def test_leave_in_a_turn(crowded, told, stream):
    """Clients that disconnect while their turns run, cleanly or by a reset, end them at once."""
    with many(crowded) as clients:
        for client in clients:
            client.send(request(told, stream=stream))
        assert eventually(lambda: len(asked(crowded)) == MANY)
        if stream and told == "[[begin]]":
            for client in clients:
                assert b'"ok"' in client.read_until(b'"ok"')
        assert is_well(crowded)
        for client in clients[::2]:
            client.reset()
    assert is_well(crowded)
    assert eventually(lambda: not asked(crowded), SOON)


@pytest.mark.parametrize("stream", [False, True])
def test_leave_at_once(crowded, stream):
    """Clients disconnect right after their request, before their turn has a process."""
    with many(crowded) as clients:
        for client in clients:
            client.send(request("hello", stream=stream))
    assert is_well(crowded)


@pytest.mark.parametrize("stream", [False, True])
def test_leave_before_reading(crowded, stream):
    """Clients disconnect without reading the answer that has arrived."""
    with many(crowded) as clients:
        for client in clients:
            client.send(request("hello", stream=stream))
        for client in clients:
            assert client.wait()
        assert is_well(crowded)
    assert is_well(crowded)


@pytest.mark.parametrize("size", [0, 20, -1])
def test_leave_in_a_request(crowded, size):
    """Clients disconnect in the middle of their request."""
    with many(crowded) as clients:
        for client in clients:
            client.send(request("hello")[:size])
        assert is_well(crowded)
    assert is_well(crowded)


@pytest.mark.parametrize("stream", [False, True])
def test_leave_while_waiting_for_a_session(crowded, stream):
    """Turns of clients that disconnect while they wait for a session are never begun."""
    with many(crowded) as clients:
        first, *others = clients
        first.send(request("[[begin]]", session_id="claimed"))
        assert eventually(lambda: asked(crowded))
        for client in others:
            client.send(request("hello", session_id="claimed", stream=stream))
        assert is_well(crowded)
        for client in others:
            client.close()
        assert is_well(crowded)
        assert len(asked(crowded)) == 1
    assert eventually(lambda: not asked(crowded), SOON)
    assert crowded.call("GET", "/v1/sessions/claimed")[0] == 404
    assert outcome(*ask(crowded, "", session_id="claimed")) == (200, None)
    assert crowded.call("DELETE", "/v1/sessions/claimed")[0] == 200


def test_send_slowly(crowded):
    """Clients that send a byte a second are cut off, and nobody waits for them."""
    data = request("hello")
    begun = {"head": 10, "body": data.index(b"\r\n\r\n") + 10}
    with many(crowded, len(begun)) as clients:
        slow = dict(zip(clients, [*begun.values()] * MANY, strict=True))
        for client, at in slow.items():
            client.send(data[:at])
        began = time.monotonic()
        for second in range(1, PATIENCE):
            for client, at in slow.items():
                with contextlib.suppress(OSError):  # on a busy machine it may be cut off by now
                    client.send(data[at + second :][:1])
            assert is_well(crowded)
            time.sleep(max(0.0, began + second - time.monotonic()))
        assert outcome(*ask(crowded, "")) == (200, None)
        heads, bodies = clients[::2], clients[1::2]
        assert {client.read_until(b"request_cut")[:13] for client in bodies} == {b"HTTP/1.1 408 "}
        assert {client.read_until(b"anything") for client in heads} == {b""}


@pytest.mark.parametrize("path", [PATH, "/v1/nothing"])
def test_send_too_much(crowded, path):
    """Clients that send a large body before they read get their answer, and nobody waits."""
    body = bytes(48 * 1024**2)
    began = time.monotonic()
    with ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(crowded.call, "POST", path, body) for _ in range(8)]
        assert is_well(crowded)
        statuses = {answer.result()[0] for answer in answers}
    assert statuses == {413 if path == PATH else 404}
    assert time.monotonic() - began < SOON


def test_send_without_end(crowded):
    """A client that sends chunks without end is answered and cut off."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    began = time.monotonic()
    with Client(crowded) as client:
        client.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        with contextlib.suppress(BrokenPipeError):
            while time.monotonic() - began < SOON:
                client.send(chunk)
        assert time.monotonic() - began < SOON
        assert client.read_until(b"request_too_large").startswith(b"HTTP/1.1 413 ")


def test_say_nothing_and_stay(crowded):
    """Clients that send nothing, or do not close, keep nobody waiting."""
    with many(crowded, 2) as clients:
        for client in clients[::2]:
            client.send(REFUSED + b"x" * 10)
        assert is_well(crowded)
        assert outcome(*ask(crowded, "")) == (200, None)
        assert is_well(crowded)


def test_silence_takes_no_thread(serve, faulty_claude):
    """Clients that have sent nothing yet take no thread."""
    server = serve(CLAUDE_CLI_PATH=faulty_claude, POOL_SIZE="1", POOL_SIZE_OTHER="1").wait()
    threads = server.at_rest()["threads"]
    with many(server):
        assert is_well(server)
        assert server.at_rest()["threads"] < threads + MANY / 2


def test_never_read_a_stream(crowded):
    """Clients that do not read their stream are cut off after CLIENT_TIMEOUT; their turns end."""
    before = lasting(crowded)
    with many(crowded) as clients:
        for client in clients:
            client.send(request("[[babble]]", stream=True))
        for client in clients:
            assert client.wait()
        assert is_well(crowded)
        assert eventually(lambda: not asked(crowded), PATIENCE + SOON)
        assert crowded.comes_back_to(before)


@pytest.mark.thorough
def test_never_read_an_answer(crowded):
    """Clients that do not read a long answer are cut off too."""
    before = lasting(crowded)
    with many(crowded) as clients:
        for client in clients:
            client.send(request("[[babble 80]]"))
        for client in clients:
            assert client.wait()
        assert is_well(crowded)
        assert crowded.comes_back_to(before)


def test_stop(serve, faulty_claude):
    """Clients that send nothing, send slowly or do not read keep no gateway from stopping."""
    settings = {"CLIENT_TIMEOUT": "2", "POOL_SIZE": "1", "POOL_SIZE_OTHER": "1"}
    server = serve(CLAUDE_CLI_PATH=faulty_claude, **settings).wait()
    with many(server, 3) as clients:
        for client in clients[::3]:
            client.send(request("hello")[:10])
        for client in clients[1::3]:
            client.send(request("hello")[:-1])
        clients[2].send(request("[[babble]]", stream=True))
        assert eventually(lambda: asked(server))
        processes = server.claudes()
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < STOPPING
    assert not any(map(alive, processes))
