"""The time limits for slow clients."""

import selectors
import socket
import struct
from collections import deque
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from wrapper import host
from wrapper.server.timeouts import LEAST_RATE, SEND_BYTES, RequestSocket, limit_connections
from wrapper.server.worker import DrainingWorker

SECONDS = 0.2


class Connection:
    """A connection with a RequestSocket on the server's side, and a clock that the test sets."""

    def __init__(self, ours, theirs, seconds=SECONDS):
        self.ours, self.theirs = ours, theirs
        self.now = 100.0
        self.sock = RequestSocket(ours, seconds, lambda: self.now)
        self.sock.begin_request()

    def transfer(self, data):
        self.theirs.sendall(data)
        return self.sock.recv(len(data))


@pytest.fixture
def conn():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(ours, theirs)


def test_receives(conn):
    """What a client sends in time is received, also in pieces."""
    assert [conn.transfer(b"a"), conn.transfer(b"b")] == [b"a", b"b"]
    assert not conn.sock.timed_out


def test_a_byte_at_a_time(conn):
    """A client that sends a byte now and then gets no more time than one that sends nothing."""
    for _ in range(10):
        assert conn.transfer(b"a") == b"a"
        conn.now += SECONDS / 9.99
    assert conn.transfer(b"a") == b"a"  # it is there already, so that no wait is needed
    assert conn.sock.recv(1) == b""


def test_large_requests(conn):
    """A client that sends much gets the time that this takes at the least rate."""
    for _ in range(10):
        assert len(conn.transfer(b"a" * LEAST_RATE)) == LEAST_RATE
        conn.now += 1.0
    conn.theirs.sendall(b"a")
    conn.now += SECONDS / 2
    assert conn.sock.recv(1) == b"a"


def test_timed_out(conn):
    """After a request that took too long nothing is read: it would be taken for a request."""
    assert conn.sock.recv(1) == b""
    assert conn.sock.timed_out
    conn.sock.begin_request()
    assert conn.transfer(b"GET / HTTP/1.1") == b""


def test_each_request_has_its_time(conn):
    """The time that one request took is not taken from the next one."""
    conn.now += SECONDS * 0.9
    conn.sock.begin_request()
    conn.now += SECONDS * 0.9
    assert conn.transfer(b"a") == b"a"
    assert not conn.sock.timed_out


def test_end(conn):
    """If the client has ended its side, there is no wait."""
    conn.theirs.shutdown(socket.SHUT_WR)
    assert conn.sock.recv(1) == b""
    assert not conn.sock.timed_out


@pytest.mark.linux
def test_accepted_connections():
    """An accepted connection has its listener's limits."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        limit_connections(listener, 7)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


@pytest.mark.parametrize(("linux", "limited"), [(True, 0), (False, 1)])
def test_connections_elsewhere(monkeypatch, linux, limited):
    """Where connections may not have their listener's limits, each gets its own when accepted."""
    monkeypatch.setattr(host, "LINUX", linux)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        worker = SimpleNamespace(
            client_timeout=7,
            cfg=SimpleNamespace(keepalive=75),
            pending_conns=deque(),
            poller=selectors.DefaultSelector(),
            on_pending_socket_readable=print,
        )
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            conn: Any = SimpleNamespace(sock=accepted, initialized=False, data_ready=False)
            DrainingWorker.enqueue_req(worker, conn)  # type: ignore[arg-type]
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == limited
            timeval = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16)
            assert struct.unpack("ll", timeval)[0] == 7 * limited
        worker.poller.close()


def test_other_sockets():
    """A Unix socket has no such limits, and a connection to it is served without them."""
    with socket.socket(socket.AF_UNIX) as listener:
        limit_connections(listener, 7)
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


def test_small_send_buffer():
    """The system buffers little of an answer that nobody reads."""
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        limit_connections(listener, 7)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listener.getsockname())
        with listener.accept()[0] as accepted:
            accepted.setblocking(False)
            buffered = 0
            with suppress(BlockingIOError):
                while buffered < 8 * SEND_BYTES:
                    buffered += accepted.send(b"x" * 4096)
    assert buffered <= 2 * SEND_BYTES  # Linux doubles the size that is set
