"""The watchdog ends a turn that must not continue."""

import pytest

from wrapper.errors import ClientGone, TimedOut, Unavailable
from wrapper.routes.headers import error_headers
from wrapper.services.background.watchdog import CHECK_SECONDS, Watchdog


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


def test_a_turn_continues():
    """A turn continues while its client is connected and time is left."""
    world = World()
    for now in range(1, 100):
        world.check_at(now)
    assert world.asked == 99


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
    for step in range(1001):
        world.check_at(step * CHECK_SECONDS / 100)
    assert world.asked == 10


@pytest.mark.parametrize("start", [0.0, 12345.0])
def test_timed_out(start):
    """A turn ends at its limit, not before, and clients are asked not to retry."""
    world = World(now=start, limit=100)
    world.check_at(start + 99.7)
    with pytest.raises(TimedOut, match="100 s") as caught:
        world.check_at(start + 100)
    assert error_headers(caught.value) == {"x-should-retry": "false"}


def test_draining():
    """At shutdown a turn ends after its grace period."""
    world = World(grace=10)
    world.check_at(1)
    world.is_draining = True
    world.check_at(5)
    world.check_at(14.9)
    with pytest.raises(Unavailable) as caught:
        world.check_at(15.2)
    assert error_headers(caught.value) == {"x-should-retry": "false"}


def test_limit_holds_while_draining():
    """A shutdown does not extend a turn's limit."""
    world = World(limit=6, grace=10)
    world.is_draining = True
    world.check_at(5)
    with pytest.raises(TimedOut):
        world.check_at(6)


def test_pauses():
    """While it is paused, the time limit does not run, but the client is still watched."""
    world = World(limit=100)
    world.check_at(50)
    world.watchdog.pause()
    world.watchdog.pause()
    world.check_at(500)
    world.watchdog.resume()
    world.check_at(1000)
    world.watchdog.resume()
    world.check_at(1049)
    with pytest.raises(TimedOut):
        world.check_at(1050)
    world.watchdog.pause()
    world.is_gone = True
    with pytest.raises(ClientGone):
        world.check_at(1060)
