"""Whatever clients do, and 64 of them at once: others are served, and nothing is left."""

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
SOON = 25.0  # five times what a turn may need to be gone
STOPPING = 35.0  # a little less than GRACEFUL_TIMEOUT and what follows it, when all is killed
REFUSED = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
TOLD = {"before the first token": "[[still]]", "in mid-stream": "[[begin]]"}


@pytest.fixture(scope="module")
def _trodden(_servers, faulty_claude):
    return _servers(
        CLAUDE_CLI_PATH=faulty_claude,
        CLIENT_TIMEOUT=str(PATIENCE),
        MAX_CONCURRENT_TURNS=str(MANY),
        POOL_SIZE="1",
        POOL_SIZE_OTHER="4",
        SESSION_WAIT="50",
    ).wait()


@pytest.fixture
def trodden(_trodden):
    """A gateway with a turn for each client. After each test it holds what it held before."""
    assert ask(_trodden, "")[0] == 200
    before = lasting(_trodden)
    yield _trodden
    assert outcome(*ask(_trodden, "")) == (200, None)
    assert _trodden.comes_back_to(before)
    assert "Traceback" not in _trodden.log()  # a client's fault is none of the gateway's


@contextlib.contextmanager
def many(server, kinds=1):
    """Yield as many clients, of each kind; they leave at the end."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Client(server)) for _ in range(MANY * kinds)]


def is_well(server):
    """Say whether /health answers soon, a few times in a row."""
    for _ in range(3):
        began = time.monotonic()
        server.health()
        if time.monotonic() - began > HEALTH_SECONDS:
            return False
    return True


@pytest.mark.thorough
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("told", TOLD.values(), ids=TOLD)
def test_leave_in_a_turn(trodden, told, stream):
    """Clients that leave while their turns run, by a farewell or without, end them all at once."""
    with many(trodden) as clients:
        for client in clients:
            client.send(request(told, stream=stream))
        assert eventually(lambda: len(asked(trodden)) == MANY)
        if stream and told == "[[begin]]":
            for client in clients:
                assert b'"ok"' in client.read_until(b'"ok"')
        assert is_well(trodden)
        for client in clients[::2]:
            client.reset()
    assert is_well(trodden)
    assert eventually(lambda: not asked(trodden), SOON)


@pytest.mark.parametrize("stream", [False, True])
def test_leave_at_once(trodden, stream):
    """Clients that leave as soon as they have asked, while others are still without a process."""
    with many(trodden) as clients:
        for client in clients:
            client.send(request("hello", stream=stream))
    assert is_well(trodden)


@pytest.mark.parametrize("stream", [False, True])
def test_leave_before_reading(trodden, stream):
    """Clients whose answers are there, and who leave without having read them."""
    with many(trodden) as clients:
        for client in clients:
            client.send(request("hello", stream=stream))
        for client in clients:
            assert client.wait()
        assert is_well(trodden)
    assert is_well(trodden)


@pytest.mark.parametrize("size", [0, 20, -1])
def test_leave_in_a_request(trodden, size):
    """Clients that leave before they have said all."""
    with many(trodden) as clients:
        for client in clients:
            client.send(request("hello")[:size])
        assert is_well(trodden)
    assert is_well(trodden)


@pytest.mark.parametrize("stream", [False, True])
def test_leave_while_waiting_for_a_session(trodden, stream):
    """Clients that wait for the session's turn before theirs, and leave, have asked nothing."""
    with many(trodden) as clients:
        first, *others = clients
        first.send(request("[[begin]]", session_id="claimed"))
        assert eventually(lambda: asked(trodden))
        for client in others:
            client.send(request("hello", session_id="claimed", stream=stream))
        assert is_well(trodden)
        for client in others:
            client.close()
        assert is_well(trodden)
        assert len(asked(trodden)) == 1
    assert eventually(lambda: not asked(trodden), SOON)
    assert trodden.call("GET", "/v1/sessions/claimed")[0] == 404
    assert outcome(*ask(trodden, "", session_id="claimed")) == (200, None)
    assert trodden.call("DELETE", "/v1/sessions/claimed")[0] == 200


def test_send_slowly(trodden):
    """Clients that send a byte a second, of head or body, are left; nobody waits for them."""
    data = request("hello")
    begun = {"head": 10, "body": data.index(b"\r\n\r\n") + 10}
    with many(trodden, len(begun)) as clients:
        slow = dict(zip(clients, [*begun.values()] * MANY, strict=True))
        for client, at in slow.items():
            client.send(data[:at])
        began = time.monotonic()
        for second in range(1, PATIENCE):
            for client, at in slow.items():
                with contextlib.suppress(OSError):  # on a busy machine it may be cut off by now
                    client.send(data[at + second :][:1])
            assert is_well(trodden)
            time.sleep(max(0.0, began + second - time.monotonic()))
        assert outcome(*ask(trodden, "")) == (200, None)
        heads, bodies = clients[::2], clients[1::2]
        assert {client.read_until(b"request_cut")[:13] for client in bodies} == {b"HTTP/1.1 408 "}
        assert {client.read_until(b"anything") for client in heads} == {b""}


@pytest.mark.parametrize("path", [PATH, "/v1/nothing"])
def test_send_too_much(trodden, path):
    """Clients that write everything before they read get their answer soon; nobody waits for it."""
    body = bytes(48 * 1024**2)
    began = time.monotonic()
    with ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(trodden.call, "POST", path, body) for _ in range(8)]
        assert is_well(trodden)
        statuses = {answer.result()[0] for answer in answers}
    assert statuses == {413 if path == PATH else 404}
    assert time.monotonic() - began < SOON


def test_send_without_end(trodden):
    """A client that sends chunks without end is answered and cut off."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    began = time.monotonic()
    with Client(trodden) as client:
        client.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        with contextlib.suppress(BrokenPipeError):
            while time.monotonic() - began < SOON:
                client.send(chunk)
        assert time.monotonic() - began < SOON
        assert client.read_until(b"request_too_large").startswith(b"HTTP/1.1 413 ")


def test_say_nothing_and_stay(trodden):
    """Clients that say nothing at all, or do not go when they should, keep nobody waiting."""
    with many(trodden, 2) as clients:
        for client in clients[::2]:
            client.send(REFUSED + b"x" * 10)
        assert is_well(trodden)
        assert outcome(*ask(trodden, "")) == (200, None)
        assert is_well(trodden)


def test_silence_takes_no_thread(serve, faulty_claude):
    """Clients that have not said a word yet cost no thread, however many they are."""
    server = serve(CLAUDE_CLI_PATH=faulty_claude, POOL_SIZE="1", POOL_SIZE_OTHER="1").wait()
    threads = server.at_rest()["threads"]
    with many(server):
        assert is_well(server)
        assert server.at_rest()["threads"] < threads + MANY / 2


def test_never_read_a_stream(trodden):
    """Clients that do not read their streams are left after CLIENT_TIMEOUT; the turns are ended."""
    before = lasting(trodden)
    with many(trodden) as clients:
        for client in clients:
            client.send(request("[[babble]]", stream=True))
        for client in clients:
            assert client.wait()
        assert is_well(trodden)
        assert eventually(lambda: not asked(trodden), PATIENCE + SOON)
        assert trodden.comes_back_to(before)


@pytest.mark.thorough
def test_never_read_an_answer(trodden):
    """Clients that do not read a long answer are left, too, and can ask nothing more."""
    before = lasting(trodden)
    with many(trodden) as clients:
        for client in clients:
            client.send(request("[[babble 80]]"))
        for client in clients:
            assert client.wait()
        assert is_well(trodden)
        assert trodden.comes_back_to(before)


def test_stop(serve, faulty_claude):
    """Clients that say nothing, send slowly, or do not read keep no gateway from ending."""
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
