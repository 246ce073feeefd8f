"""The watchdog ends a turn that must not continue."""

import socket

import pytest

from wrapper.errors import ClientGone, TimedOut, Unavailable
from wrapper.services.background.watchdog import CHECK_SECONDS, Watchdog, connection_probe


class World:
    """The state that a watchdog asks about, and a count of its questions."""

    def __init__(self, now=0.0, limit=100.0, grace=10.0):
        self.now = now
        self.is_gone = self.is_draining = False
        self.asked = 0
        self.watchdog = Watchdog(
            gone=self.gone,
            draining=lambda: self.is_draining,
            limit=limit,
            grace=grace,
            clock=lambda: self.now,
        )

    def gone(self):
        self.asked += 1
        return self.is_gone

    def check_at(self, now):
        self.now = now
        self.watchdog.check()


def connected(key):
    ours, theirs = socket.socketpair()
    return ours, theirs, connection_probe({key: ours})


def test_a_turn_continues():
    """A turn continues while its client is connected and time is left."""
    world = World()
    for now in range(100):
        world.check_at(now)
    assert world.asked == 100


def test_client_gone():
    """A turn ends when its client has left."""
    world = World()
    world.check_at(1)
    world.is_gone = True
    with pytest.raises(ClientGone):
        world.check_at(2)


def test_checks_are_rare():
    """The connection is checked at most every CHECK_SECONDS, however often events come."""
    world = World()
    for step in range(1000):
        world.check_at(step * CHECK_SECONDS / 100)
    assert world.asked == 10


@pytest.mark.parametrize("start", [0.0, 12345.0])
def test_timed_out(start):
    """A turn ends at its limit, not before, and clients are asked not to retry."""
    world = World(now=start, limit=100)
    world.check_at(start + 99.7)
    with pytest.raises(TimedOut, match="100 s") as caught:
        world.check_at(start + 100)
    assert caught.value.headers() == {"x-should-retry": "false"}


def test_draining():
    """At shutdown a turn ends after its grace period."""
    world = World(grace=10)
    world.check_at(1)
    world.is_draining = True
    world.check_at(5)
    world.check_at(14.9)
    with pytest.raises(Unavailable) as caught:
        world.check_at(15.2)
    assert caught.value.headers() == {"x-should-retry": "false"}


def test_limit_holds_while_draining():
    """A shutdown does not extend a turn's limit."""
    world = World(limit=6, grace=10)
    world.is_draining = True
    world.check_at(5)
    with pytest.raises(TimedOut):
        world.check_at(6)


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
