"""Patience: what clients that are slow are granted."""

import socket
from contextlib import suppress

import pytest

from wrapper.server.timeouts import LEAST_RATE, SEND_BYTES, Ear, bound

SECONDS = 0.2


class Line:
    """A connection, an ear on its one side, and a clock that stands still unless it is set."""

    def __init__(self, ours, theirs, seconds=SECONDS):
        self.ours, self.theirs = ours, theirs
        self.now = 100.0
        self.ear = Ear(ours, seconds, lambda: self.now)
        self.ear.begin()

    def hear(self, said):
        self.theirs.sendall(said)
        return self.ear.recv(len(said))


@pytest.fixture
def line():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Line(ours, theirs)


def test_hears_what_is_said(line):
    """What is said in time is heard, also when it comes in pieces."""
    assert [line.hear(b"a"), line.hear(b"b")] == [b"a", b"b"]
    assert not line.ear.deaf


def test_a_byte_at_a_time(line):
    """A client that sends a byte now and then gets no more time for it than one that sends none."""
    for _ in range(10):
        assert line.hear(b"a") == b"a"
        line.now += SECONDS / 9.99
    assert line.hear(b"a") == b"a"  # it is there already, and costs no wait
    assert line.ear.recv(1) == b""


def test_time_for_much(line):
    """A client that sends much gets as much more time as that takes at the least rate."""
    for _ in range(10):
        assert len(line.hear(b"a" * LEAST_RATE)) == LEAST_RATE
        line.now += 1.0
    line.theirs.sendall(b"a")
    line.now += SECONDS / 2
    assert line.ear.recv(1) == b"a"


def test_deaf(line):
    """Whoever was too slow once is not heard again: it would be taken for another request."""
    assert line.ear.recv(1) == b""
    assert line.ear.deaf
    line.ear.begin()
    assert line.hear(b"GET / HTTP/1.1") == b""


def test_each_request_has_its_time(line):
    """The time that one request took is not missed by the next."""
    line.now += SECONDS * 0.9
    line.ear.begin()
    line.now += SECONDS * 0.9
    assert line.hear(b"a") == b"a"
    assert not line.ear.deaf


def test_end(line):
    """The end of what a client says is not waited out."""
    line.theirs.shutdown(socket.SHUT_WR)
    assert line.ear.recv(1) == b""
    assert not line.ear.deaf


def test_bound():
    """A connection that is accepted is bounded as its listener is."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        bound(listener, 7)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def test_little_is_kept():
    """Of an answer that nobody reads the system takes little, whatever it has room for."""
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        bound(listener, 7)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listener.getsockname())
        with listener.accept()[0] as accepted:
            accepted.setblocking(False)
            kept = 0
            with suppress(BlockingIOError):
                while kept < 8 * SEND_BYTES:
                    kept += accepted.send(b"x" * 4096)
    assert kept <= 2 * SEND_BYTES  # Linux doubles what it is told
