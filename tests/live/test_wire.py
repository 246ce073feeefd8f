"""Bytes that clients send, well-formed or not, and the answers to them."""

from __future__ import annotations

import gzip
import json
import random

import pytest

from tests.support.socket_client import Client, request

HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
MALFORMED = {
    "chunk size": (CHUNKED + b"zz\r\n", 400),
    "chunk end": (CHUNKED + b"2\r\nabXX0\r\n\r\n", 400),
    "chunk extension": (CHUNKED + b"2;\x01\r\nab\r\n0\r\n\r\n", 400),
    "trailer": (CHUNKED + b"0\r\nHost: x\r\n\r\n", 400),
    "tiny chunks": (CHUNKED + b"1\r\n \r\n" * 70_000, 400),
    "length and chunks": (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    "no length": (HEAD + b"Content-Length: -5\r\n\r\n", 400),
    "transfer coding": (HEAD + b"Transfer-Encoding: odd\r\n\r\n", 501),
    "long header": (HEAD + b"X: " + b"a" * 20_000 + b"\r\n\r\n", 431),
    "many headers": (HEAD + b"X: a\r\n" * 200 + b"\r\n", 431),
    "long path": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 414),
    "version": (b"GET /health HTTP/3.0\r\n\r\n", 505),
    "no version": (b"GET /health\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    "control": (HEAD + b"X: \x1b[2J\r\n\r\n", 400),
    "expectation": (HEAD + b"Expect: coffee\r\n\r\n", 417),
    "two hosts": (HEALTH + b"Host: localhost\r\n\r\n", 400),
    "SCRIPT_NAME": (HEALTH + b"SCRIPT_NAME: /x\r\n\r\n", 200),
    "slashes": (HEALTH.replace(b"/health", b"//health") + b"\r\n", 200),
    "foreign path": (HEALTH.replace(b"/health", b"//evil.test//") + b"\r\n", 404),
    "OPTIONS *": (HEALTH.replace(b"GET /health", b"OPTIONS *") + b"\r\n", 404),
    "CONNECT": (HEALTH.replace(b"GET /health", b"CONNECT localhost:80") + b"\r\n", 404),
}


def said(server, data, finish=False):
    """Return status, head and parsed body of the answer to *data*."""
    with Client(server) as client:
        client.send(data)
        if finish:
            client.finish()
        head, _, body = client.read_until(b"\0").partition(b"\r\n\r\n")
    status = int(head.split()[1]) if head else 0
    return status, head, json.loads(body) if head else None


@pytest.mark.parametrize(("data", "status"), MALFORMED.values(), ids=MALFORMED)
def test_any_bytes_get_json(gateway, data, status):
    """Any bytes get one answer in JSON, with the headers of all answers."""
    told, head, body = said(gateway, data)
    assert told == status
    assert b"x-request-id: " in head
    assert b"nosniff" in head
    assert status == 200 or set(body["error"]) == {"message", "type", "param", "code"}
    assert "Traceback" not in gateway.log()


def test_compressed(gateway):
    """A compressed body is read through the real server; an unknown coding is refused."""
    head, _, body = request("hello", max_tokens=0).partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    packed = gzip.compress(body)
    for coding, status, param in ((b"gzip", 400, "max_tokens"), (b"br", 415, None)):
        more = [
            b"Content-Encoding: " + coding,
            b"Content-Length: %d" % len(packed),
            b"Connection: close",
        ]
        told, _, answer = said(gateway, b"\r\n".join([*lines, *more, b"", packed]))
        assert (told, answer["error"]["param"]) == (status, param)


def test_garbled_requests(gateway):
    """A garbled request gets JSON, or nothing if it has no end."""
    chance = random.Random(7)
    whole = request("hello", max_tokens=0)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        told, _, body = said(gateway, bytes(data), finish=True)
        assert told < 500 or told in (501, 505), (bytes(data), body)
    assert "Traceback" not in gateway.log()
