"""Lingering close: clients that still send can read their answers, and cost little."""

import selectors
import socket
from contextlib import suppress

import pytest

from wrapper.server.lingering import BYTES_PER_SECOND, LINGER_SECONDS, LingeringClose

DEADLINE = 10.0


class Connection:
    """A TCP connection of the worker; `client` is its other side."""

    def __init__(self, listener):
        self.client = socket.create_connection(listener.getsockname())
        self.client.settimeout(DEADLINE)
        self.sock = listener.accept()[0]

    def close(self):
        self.sock.close()


class Loop:
    """A worker's loop with a clock that the test sets."""

    def __init__(self):
        self.now = 100.0
        self.closed = []
        self.poller = selectors.DefaultSelector()
        self.lingering = LingeringClose(self.poller, self._close, lambda: self.now)

    def _close(self, conn):
        self.closed.append(conn)
        conn.close()

    def run(self, seconds=0.0):
        """Handle events, after *seconds* more."""
        self.now += seconds
        for key, _ in self.poller.select(0):
            key.data(key.fileobj)
        self.lingering.tick()

    def run_until(self, holds):
        for _ in range(100_000):
            if holds():
                return
            self.run()
        raise AssertionError("the loop did not get there")


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.poller.close()


@pytest.fixture
def connect():
    """Return a function that makes connections, which are closed after the test."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def start():
            connections.append(Connection(listener))
            return connections[-1]

        yield start
    for conn in connections:
        conn.client.close()
        conn.close()


def test_a_client_that_leaves(loop, connect):
    """The connection of a client that reads its answer and leaves is closed at once."""
    conn = connect()
    conn.sock.sendall(b"bye")
    loop.lingering.add(conn)
    with conn.client.makefile("rb") as answer:
        assert answer.read() == b"bye"
    conn.client.close()
    loop.run_until(lambda: loop.closed)


def test_a_client_that_writes_before_it_reads(loop, connect):
    """A client can send megabytes that nobody reads before it reads its answer."""
    conn = connect()
    conn.sock.sendall(b"bye")
    loop.lingering.add(conn)
    conn.client.setblocking(False)
    left = 8 * 1024**2
    while left:
        with suppress(BlockingIOError):
            left -= conn.client.send(bytes(min(left, 65536)))
        loop.run()
    conn.client.settimeout(DEADLINE)
    assert conn.client.recv(10) == b"bye"
    assert not loop.closed


def test_a_client_that_sends_without_end(loop, connect):
    """A client that still sends when its time is over gets a reset, and can read its answer."""
    conn = connect()
    conn.sock.sendall(b"bye")
    loop.lingering.add(conn)
    conn.client.sendall(b"x")
    loop.run_until(lambda: not loop.closed)
    loop.run()
    conn.client.setblocking(False)
    with suppress(BlockingIOError):
        while True:  # until the buffers are full: here a client would wait for minutes
            conn.client.send(bytes(65536))
    loop.run(LINGER_SECONDS)
    assert loop.closed == [conn]
    conn.client.settimeout(DEADLINE)
    with pytest.raises(ConnectionError):
        conn.client.sendall(bytes(1024))
    assert conn.client.recv(10) == b"bye"


def test_a_client_that_stays(loop, connect):
    """The connection of a silent client is closed when its time is over."""
    conn = connect()
    loop.lingering.add(conn)
    loop.run(LINGER_SECONDS - 0.1)
    assert not loop.closed
    assert loop.lingering.timeout(1.0) == pytest.approx(0.1)
    loop.run(0.2)
    assert loop.closed == [conn]
    assert conn.client.recv(1) == b""


def test_a_client_that_has_left(loop, connect):
    """A connection that is closed already is no error."""
    conn = connect()
    conn.sock.close()
    loop.lingering.add(conn)
    assert loop.closed == [conn]


def test_all_share_a_rate(loop, connect):
    """All clients together are read at the rate, however many they are."""
    clients = [connect() for _ in range(8)]
    for conn in clients:
        loop.lingering.add(conn)
        conn.client.setblocking(False)
    sent = 0
    for _ in range(20 * BYTES_PER_SECOND // 1024**2):
        for conn in clients:
            with suppress(BlockingIOError):
                sent += conn.client.send(bytes(1024**2))
        loop.run()
    buffered = sum(buffer_size(conn) for conn in clients)
    assert BYTES_PER_SECOND / 2 < sent < BYTES_PER_SECOND + buffered
    assert loop.lingering.timeout(1.0) < 0.1
    assert not loop.poller.select(0)  # paused connections cost nothing
    loop.run(0.5)
    assert loop.poller.select(0)


def buffer_size(conn):
    """Return how many unread bytes from a client the system may buffer."""
    buffers = (conn.client, socket.SO_SNDBUF), (conn.sock, socket.SO_RCVBUF)
    return 2 * sum(sock.getsockopt(socket.SOL_SOCKET, name) for sock, name in buffers) + 1024**2


def test_paused_clients_end_in_time(loop, connect):
    """The connection of a client that waits for others is closed in time, too."""
    conn = connect()
    loop.lingering.add(conn)
    loop.lingering._budget = 0.0
    conn.client.sendall(b"x")
    loop.run()
    assert not loop.poller.select(0)
    loop.lingering._budget = -BYTES_PER_SECOND * LINGER_SECONDS
    loop.run(LINGER_SECONDS)
    assert loop.closed == [conn]
