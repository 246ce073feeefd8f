"""The request parser: when an answer closes its connection, and when 100 Continue is sent."""

import socket
from contextlib import suppress
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException

from wrapper.server.request_parser import DRAIN_BYTES, Parser
from wrapper.server.timeouts import RequestSocket

HEAD = "POST / HTTP/1.1\r\nHost: localhost\r\n"
LENGTH = HEAD + "Content-Length: {}\r\n\r\n"
CHUNKED = HEAD + "Transfer-Encoding: chunked\r\n\r\n"
EXPECTING = HEAD + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"


class Client:
    """The client's side of a connection, and a parser on the other side."""

    def __init__(self, ours, theirs):
        self.sock = theirs
        self.sock.settimeout(5.0)
        sock: Any = RequestSocket(ours, 5.0)
        sock.begin_request()
        self._parser = Parser(Config(), sock, ("127.0.0.1", 1))

    def ask(self, text):
        self.sock.sendall(text.encode())
        return next(self._parser)

    def received(self):
        self.sock.setblocking(False)
        with suppress(BlockingIOError):
            return self.sock.recv(1000)
        return b""


@pytest.fixture
def client():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Client(ours, theirs)


@pytest.mark.parametrize(
    ("sent", "closes"),
    [
        (LENGTH.format(0), False),
        (LENGTH.format(DRAIN_BYTES), False),
        (LENGTH.format(DRAIN_BYTES + 1), True),
        (LENGTH.format(10**12), True),
        (CHUNKED, True),
        (CHUNKED + "2\r\nab\r\n0\r\n\r\n", True),
        (EXPECTING, True),
        (HEAD + "\r\n", False),
    ],
)
def test_unread_bodies(client, sent, closes):
    """An answer closes the connection if the request's body cannot soon be drained."""
    assert client.ask(sent).should_close() is closes


@pytest.mark.parametrize(
    "sent",
    [
        LENGTH.format(DRAIN_BYTES + 1) + "x" * (DRAIN_BYTES + 1),
        CHUNKED + "2\r\nab\r\n0\r\n\r\n",
        EXPECTING + "ab",
    ],
)
def test_read_bodies(client, sent):
    """Once a body is read, the connection can carry another request."""
    request = client.ask(sent)
    assert request.body.read()
    assert not request.should_close()
    assert client.ask(HEAD + "\r\n").body.read() == b""


def test_broken_bodies(client):
    """After a malformed body the connection closes: nothing after it can be parsed."""
    request = client.ask(CHUNKED + "zz\r\n")
    with pytest.raises(Exception, match="chunk size"):
        request.body.read()
    assert request.should_close()


def test_continue(client):
    """100 Continue is sent once, when the body is read."""
    request = client.ask(EXPECTING)
    assert client.received() == b""
    client.sock.setblocking(True)
    client.sock.sendall(b"ab")
    assert request.body.read() == b"ab"
    assert client.received() == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ("POST /v1/messages?beta=true HTTP/1.1\r\nBad Header: x\r\n\r\n", "/v1/messages"),
        ("POST /v1/messages HTTP/1.1\r\nContent-Length: x\r\n\r\n", "/v1/messages"),
        ("POST /v1/messages HTTP/9.9\r\n\r\n", "/v1/messages"),
        ("nonsense\r\n\r\n", ""),
    ],
)
def test_path_of_malformed_request(client, sent, path):
    """A fault knows the path of its request, if that was read before it."""
    with pytest.raises(ParseException) as caught:
        client.ask(sent)
    assert vars(caught.value)["path"] == path
