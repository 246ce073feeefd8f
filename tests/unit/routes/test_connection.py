"""The connection of a request: whether its client has left."""

import socket

import pytest

from wrapper.routes.connection import connection_probe


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


def test_probe_without_a_socket():
    """Where the server shows no socket, clients count as present."""
    assert connection_probe({})() is False
