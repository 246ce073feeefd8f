"""The timing: how long the parts of a request took, and its header."""

import pytest

from wrapper.errors import RateLimited
from wrapper.routes.headers import error_headers, note_headers
from wrapper.services.events import Acquisition, Started
from wrapper.services.telemetry.timing import Timing


def test_nothing_is_known(clock):
    """Unknown parts are left out."""
    assert note_headers(Timing(clock).notes()) == {}


def test_all_is_known(clock):
    """Every part is in milliseconds, and the lease has its source."""
    timing = Timing(clock)
    clock.now += 0.5
    with timing.queueing():
        clock.now += 1
    clock.now += 2
    timing.started(Started("m", acquisition=Acquisition("parked", 0.0004, 0.02)))
    clock.now += 3
    timing.over()
    assert note_headers(timing.notes()) == {
        "server-timing": "queue;dur=1000.0, lease;dur=0.4;desc=parked, configure;dur=20.0, "
        "first_token;dur=3500.0, total;dur=6500.0"
    }


def test_an_engine_that_does_not_tell(clock):
    """Where an engine reports no acquisition, the other parts are there."""
    timing = Timing(clock)
    clock.now += 1
    timing.started(Started("m"))
    assert note_headers(timing.notes()) == {"server-timing": "first_token;dur=1000.0"}


def test_the_first_counts(clock):
    """The first of several turns to begin counts, and so does the first end."""
    timing = Timing(clock)
    for number in (1, 2):
        clock.now += 1
        timing.started(Started("m", acquisition=Acquisition("warm", number, number)))
        timing.over()
    expected = {"lease": 1, "configure": 1, "first_token": 1, "total": 1}
    assert timing.parts() == expected


def test_an_error_tells_it(clock):
    """An error's headers have the parts known so far, also the wait of a refused request."""

    def wait_in_vain():
        timing = Timing(clock)
        with timing, timing.queueing():
            clock.now += 2
            raise RateLimited("Full.", retry_after=1, headers={"x-own": "y"})

    with pytest.raises(RateLimited) as caught:
        wait_in_vain()
    expected = {"x-own": "y", "server-timing": "queue;dur=2000.0, total;dur=2000.0"}
    assert error_headers(caught.value) == {**expected, "Retry-After": "1"}
