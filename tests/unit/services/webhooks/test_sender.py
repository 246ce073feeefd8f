"""The sender: what it posts, to which addresses, and what it makes of the answer."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from tests.support.webhooks import OTHER_SECRET, SECRET, Receiver, verified
from wrapper.services.webhooks import sender
from wrapper.services.webhooks.attempt import Result
from wrapper.services.webhooks.endpoint import Endpoint
from wrapper.services.webhooks.event import new_delivery

DELIVERY = new_delivery("alice", "response.completed", {"id": "resp_é"}, "resp_1", 1_800_000_000.5)


@pytest.fixture
def receiver():
    opened = Receiver()
    yield opened
    opened.close()


def post(url, private=True):
    return asyncio.run(sender.post(Endpoint(url, SECRET, private), DELIVERY))


def test_openai_verifies_it(receiver):
    """OpenAI's library takes it as an event of the type, and only with the right secret."""
    assert post(receiver.url) == Result(200)
    (received,) = receiver.received
    body, headers = received.body, received.headers
    assert verified(body, headers, SECRET) == {
        "id": DELIVERY.id,
        "object": "event",
        "created_at": 1_800_000_000,
        "type": "response.completed",
        "data": {"id": "resp_é"},
    }
    assert headers["content-type"] == "application/json"
    for altered, secret in ((body, OTHER_SECRET), (body + b" ", SECRET)):
        with pytest.raises(ValueError, match="signature"):
            verified(altered, headers, secret)


@pytest.mark.parametrize("status", [204, 302, 404, 500])
def test_statuses(receiver, status):
    """The status of the answer is the result, and no redirect is followed."""
    receiver.statuses = [status]
    assert post(receiver.url) == Result(status)
    assert len(receiver.received) == 1


def test_a_login_in_the_url(receiver, caplog):
    """A login in the URL is sent as basic authentication, and logged nowhere."""
    caplog.set_level(logging.DEBUG)
    url = receiver.url.replace("//", "//ann:hunter2@")
    assert post(f"{url}?token=hunter2").accepted
    assert receiver.received[0].headers["authorization"].startswith("Basic ")
    assert "hunter2" not in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"])
def test_private_addresses(receiver, host):
    """However it is written, an address that is not public is not connected to."""
    result = post(receiver.url.replace("127.0.0.1", host), private=False)
    assert result == Result(error="its host has an address that is not public")
    assert not receiver.received


def test_nothing_listens():
    """A connection that is refused says so."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = post(f"http://127.0.0.1:{unused.getsockname()[1]}/")
    assert result == Result(error="nothing listens at its address")


def test_a_receiver_that_hangs(monkeypatch):
    """A receiver that takes the connection and says nothing is left after some seconds."""
    monkeypatch.setattr(sender, "ATTEMPT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        result = post(f"http://127.0.0.1:{hanging.getsockname()[1]}/")
    assert result == Result(error="it did not answer in time")


def test_an_answer_without_end():
    """The body of an answer is not read, however long it says to be."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        async def main():
            loop = asyncio.get_running_loop()
            sending = loop.run_in_executor(None, answer)
            url = f"http://127.0.0.1:{server.getsockname()[1]}/"
            result = await sender.post(Endpoint(url, SECRET, private=True), DELIVERY)
            await sending
            return result

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx")
                while connection.recv(65536):  # until the client has left
                    pass

        assert asyncio.run(main()) == Result(200)


def test_not_http():
    """An answer that is not HTTP is a failure, which quotes nothing of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        async def main():
            sending = asyncio.get_running_loop().run_in_executor(None, answer)
            url = f"http://127.0.0.1:{server.getsockname()[1]}/"
            result = await sender.post(Endpoint(url, SECRET, private=True), DELIVERY)
            await sending
            return result

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"220 mail.example ESMTP secret\r\n\r\n")

        assert asyncio.run(main()) == Result(error="it closed the connection")
