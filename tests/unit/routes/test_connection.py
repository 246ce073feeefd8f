"""The connection of a request: whether its client has left."""

import select
import socket
import ssl
import struct

import pytest

from wrapper.routes.connection import connection_probe, hang_up_probe


def connected(key):
    ours, theirs = socket.socketpair()
    return ours, theirs, connection_probe({key: ours})


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
@pytest.mark.parametrize("unread", [b"", b"unread"])
def test_probe(key, unread):
    """A connection's end is noticed at once, also behind bytes that nobody has read."""
    ours, theirs, gone = connected(key)
    with ours, theirs:
        theirs.send(unread)
        assert not gone()
        theirs.close()
        assert gone()
        assert gone()


def test_probe_of_a_half_closed_connection():
    """A client that will send no more has left."""
    ours, theirs, gone = connected("gunicorn.socket")
    with ours, theirs:
        theirs.shutdown(socket.SHUT_WR)
        assert gone()


@pytest.fixture
def elsewhere(monkeypatch):
    """Poll as on a system without POLLRDHUP."""
    monkeypatch.delattr(select, "POLLRDHUP", raising=False)


@pytest.fixture
def tcp():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        yield ours, theirs


def test_probe_elsewhere(elsewhere, tcp):
    """Without POLLRDHUP the end of a TCP connection is noticed once what came before is read."""
    ours, theirs = tcp
    gone = connection_probe({"gunicorn.socket": ours})
    assert not gone()
    theirs.send(b"unread")
    assert not gone()
    theirs.shutdown(socket.SHUT_WR)
    assert not gone()
    assert ours.recv(99) == b"unread"
    assert gone()
    assert gone()


def test_probe_of_a_reset_connection(elsewhere, tcp):
    """Without POLLRDHUP a reset is noticed at once."""
    ours, theirs = tcp
    gone = connection_probe({"gunicorn.socket": ours})
    theirs.send(b"unread")
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    assert gone()


def test_probe_under_tls(elsewhere, tcp):
    """Without POLLRDHUP the bytes of a TLS connection are seen, and stay unread."""
    ours, theirs = tcp
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with context.wrap_socket(ours, server_side=True, do_handshake_on_connect=False) as wrapped:
        gone = connection_probe({"gunicorn.socket": wrapped})
        theirs.send(b"unread")
        assert not gone()
        assert socket.socket.recv(wrapped, 99) == b"unread"
        theirs.close()
        assert gone()


def test_waiting(elsewhere, tcp):
    """A probe that may wait returns as soon as the other side leaves."""
    ours, theirs = tcp
    left = hang_up_probe(ours)
    assert not left(0.01)
    theirs.close()
    assert left(60)


def test_probe_without_a_socket():
    """Where the server shows no socket, clients count as present."""
    assert connection_probe({})() is False
