"""The pool: each warm process is leased once and replaced, and failed boots are tried again."""

import pytest

from tests.support.pool_harness import PoolHarness
from wrapper.errors import BadGateway, Unavailable
from wrapper.routes.headers import error_headers
from wrapper.services.claude.errors.engine_errors import BootFailed, Refused
from wrapper.services.claude.processes.backoff import FIRST_DELAY, LONGEST_DELAY


@pytest.mark.parametrize("size", [0, 1, 3])
def test_filling(size):
    """A pool boots as many processes as it keeps, and then no more."""
    harness = PoolHarness(size).fill().fill()
    assert harness.status() == ("ready", size, 0)
    assert len(harness.made) == size


def test_booting():
    """While processes boot, the pool reports it and boots no more."""
    harness = PoolHarness(2)
    harness.pool.fill()
    harness.pool.fill()
    assert harness.status() == ("booting", 0, 2)
    assert len(harness.boot_threads.jobs) == 2


def test_leasing_a_warm_one():
    """A warm process is leased at once, each to one turn only, and replaced at the next fill."""
    harness = PoolHarness(2).fill()
    leased = [harness.pool.lease().result(0), harness.pool.lease().result(0)]
    assert leased == harness.made
    assert not harness.boot_threads.jobs
    harness.fill()
    assert harness.status() == ("ready", 2, 0)
    assert harness.pool.lease().result(0) not in leased


def test_leasing_where_none_is_ready():
    """If no process is ready, a turn gets the first that boots."""
    harness = PoolHarness(1)
    future = harness.pool.lease()
    assert not future.done()
    harness.boot_threads.run()
    assert future.result(0) is harness.made[0]
    assert harness.status() == ("ready", 1, 0)


def test_first_come_first_served():
    """Turns that wait are served in the order in which they came."""
    harness = PoolHarness(0)
    futures = [harness.pool.lease() for _ in range(3)]
    harness.boot_threads.run(1)
    assert [future.done() for future in futures] == [True, False, False]
    harness.boot_threads.run()
    assert [future.result(0) for future in futures] == harness.made


def test_one_boot_for_each_that_waits():
    """The pool boots a process for each turn that waits, and those that it keeps."""
    harness = PoolHarness(2)
    for _ in range(5):
        harness.pool.lease()
    assert len(harness.boot_threads.jobs) == 7
    harness.boot_threads.run()
    assert harness.status() == ("ready", 2, 0)


@pytest.mark.parametrize("fault", ["dead", "spoke"])
def test_spoilt_processes(fault):
    """A process that died, or wrote something unasked, is stopped and never leased."""
    harness = PoolHarness(2).fill()
    setattr(harness.made[0], fault, True)
    assert harness.pool.lease().result(0) is harness.made[1]
    assert harness.stopped == [harness.made[0]]
    harness.fill()
    assert harness.status() == ("ready", 2, 0)


def test_health_counts_the_living():
    """A process that died is not reported as ready."""
    harness = PoolHarness(1).fill()
    harness.made[0].dead = True
    assert harness.status()[:2] == ("booting", 0)


def test_no_boot_for_a_turn_that_has_gone():
    """A boot that has not begun is left out once its turn has stopped waiting."""
    harness = PoolHarness(1).fill()
    gone, waiting = (harness.pool.lease(background=True) for _ in range(2))
    gone.cancel()
    harness.boot_threads.run()
    assert waiting.done()
    assert harness.status() == ("ready", 1, 0)
    assert len(harness.made) == 2


@pytest.mark.parametrize("turns", [1, 4])
def test_boots_for_the_background(turns):
    """Turns in the background boot one process each, beside those that the pool keeps."""
    harness = PoolHarness(2).fill()
    leases = [harness.pool.lease(background=True) for _ in range(turns)]
    harness.fill()
    assert all(lease.done() for lease in leases)
    assert harness.status() == ("ready", 2, 0)
    assert len(harness.made) == 2 + turns


def test_turns_in_the_background():
    """Turns in the background come after all others, also those that ask later."""
    harness = PoolHarness(0)
    later = harness.pool.lease(background=True)
    awaited = harness.pool.lease()
    harness.boot_threads.run(1)
    assert (later.done(), awaited.done()) == (False, True)
    harness.boot_threads.run()
    assert later.result(0) is harness.made[1]


def test_the_last_ready_one():
    """Turns in the background leave the last process that is ready to the others."""
    harness = PoolHarness(2).fill()
    taken, waiting = (harness.pool.lease(background=True) for _ in range(2))
    assert taken.result(0) is harness.made[0]
    assert not waiting.done()
    assert harness.pool.lease().result(0) is harness.made[1]
    harness.boot_threads.run(1)
    assert not waiting.done()  # none is ready for the others
    harness.boot_threads.run()
    assert waiting.done()
    assert harness.status() == ("ready", 2, 0)


def test_giving_up():
    """A process booted for a turn that gave up goes to the next one, or is kept."""
    harness = PoolHarness(1)
    gone, waiting = harness.pool.lease(), harness.pool.lease()
    assert gone.cancel()
    harness.boot_threads.run()
    assert waiting.result(0) is harness.made[0]
    assert harness.status()[:2] == ("ready", 1)
    assert len(harness.made) - len(harness.stopped) == 2


def test_surplus():
    """A process that no turn needs any more is stopped."""
    harness = PoolHarness(0)
    assert harness.pool.lease().cancel()
    harness.boot_threads.run()
    assert harness.stopped == harness.made
    assert harness.status() == ("ready", 0, 0)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (BootFailed("it coughed"), Unavailable, "it coughed"),
        (BootFailed("it coughed", "secret"), Unavailable, "it coughed"),
        (ZeroDivisionError("secret"), BadGateway, "see the log"),
    ],
)
def test_failed_boots(error, kind, message):
    """A turn whose boots fail gets the reason, and when to retry."""
    harness = PoolHarness(0).fail(error, error)
    future = harness.pool.lease()
    harness.boot_threads.run()
    harness.resume()
    harness.boot_threads.run()
    with pytest.raises(kind, match=message) as caught:
        future.result(0)
    assert "secret" not in caught.value.message
    assert error_headers(caught.value) == {"Retry-After": "2"}
    health = harness.pool.health()
    assert (health["status"], health["error"]) == ("failing", caught.value.message)


def test_pause_after_a_failure():
    """After failures the pool pauses, and turns fail at once."""
    harness = PoolHarness(1).fail(BootFailed("once"), BootFailed("it coughed")).fill()
    harness.resume()
    harness.boot_threads.run()
    future = harness.pool.lease()
    with pytest.raises(Unavailable, match="it coughed"):
        future.result(0)
    assert not harness.boot_threads.jobs


def test_a_single_failure_is_waited_out():
    """After a single failed boot the turn waits for the next one."""
    harness = PoolHarness(1).fail().fill()
    future = harness.pool.lease()
    assert not future.done()
    harness.resume()
    harness.boot_threads.run()
    assert future.result(0) is harness.made[0]


def test_after_the_pause():
    """After the pause turns wait again, and a boot that succeeds clears the error."""
    harness = PoolHarness(1).fail().fill()
    harness.resume()
    future = harness.pool.lease()
    assert not future.done()
    harness.boot_threads.run()
    assert future.result(0) is harness.made[0]
    assert harness.status() == ("ready", 1, 0)
    assert "error" not in harness.pool.health()


def test_a_pool_without_warm_processes_recovers():
    """After the pause a turn boots a process of its own, however many boots have failed."""
    harness = PoolHarness(0).fail(BootFailed("no"), BootFailed("no"))
    failed = harness.pool.lease()
    harness.boot_threads.run()
    harness.resume()
    harness.boot_threads.run()
    assert failed.exception(0)
    harness.resume()
    future = harness.pool.lease()
    harness.boot_threads.run()
    assert future.result(0) is harness.made[0]


def test_pauses_grow():
    """Each failure in a row doubles the pause, up to a limit, until a boot succeeds."""
    harness = PoolHarness(1).fail(*[BootFailed("no") for _ in range(9)]).fill()
    pauses = []
    while harness.pauses:
        pauses.append(harness.resume())
        harness.boot_threads.run()
    assert pauses == [FIRST_DELAY * 2 * 2**i for i in range(6)] + [LONGEST_DELAY] * 3
    harness.fail()
    harness.pool.lease().result(0)
    harness.fill()
    assert harness.resume() == pauses[0]


def test_one_pause_for_failures_together():
    """Boots that fail together count once and make one pause; then all are retried."""
    harness = PoolHarness(3).fail(*[BootFailed("no") for _ in range(6)]).fill()
    assert len(harness.pauses) == 1
    pauses = [harness.resume()]
    assert len(harness.boot_threads.jobs) == 3
    harness.boot_threads.run()
    pauses.append(harness.resume())
    assert pauses == [FIRST_DELAY * 2, FIRST_DELAY * 4]


def test_failures_beside_a_success():
    """A turn does not fail while another boot may still serve it."""
    harness = PoolHarness(0).fail()
    first, second = harness.pool.lease(), harness.pool.lease()
    harness.boot_threads.run(1)
    assert not first.done()
    harness.boot_threads.run()
    assert first.result(0) is harness.made[0]
    assert not second.done()
    harness.resume()
    harness.boot_threads.run()
    assert second.result(0) is harness.made[1]


def test_ready_while_a_boot_fails():
    """A pool that still has a warm process serves, and does not report that it fails."""
    harness = PoolHarness(2).fail(None, BootFailed("it coughed")).fill()
    assert harness.status()[0] != "failing"
    assert harness.pool.lease().result(0) is harness.made[0]


def test_refused():
    """A CLI that must not serve is not booted again; turns and the lifecycle get the reason."""
    harness = PoolHarness(1)
    harness.fail(*[Refused("too old; update it")] * 2)
    waiting = harness.pool.lease()
    harness.boot_threads.run()
    late = harness.pool.lease()
    for future in (waiting, late):
        with pytest.raises(BadGateway, match="too old; update it") as caught:
            future.result(0)
        assert error_headers(caught.value) == {"x-should-retry": "false"}
    assert harness.refused == ["too old; update it"]
    assert harness.status() == ("failing", 0, 0)
    assert not harness.boot_threads.jobs
    assert not harness.pauses


def test_closing():
    """Closing stops ready processes, fails waiting turns, and begins no boot."""
    harness = PoolHarness(1).fill()
    harness.pool.lease()
    waiting = harness.pool.lease()
    harness.boot_threads.run(1)
    more = harness.pool.lease()
    harness.pool.close()
    late = harness.pool.lease()
    assert waiting.result(0) is harness.made[1]
    for future in (more, late):
        with pytest.raises(Unavailable, match="shutting down"):
            future.result(0)
    harness.boot_threads.run()
    assert harness.stopped == harness.made[2:]
    harness.fill()
    assert harness.status()[1:] == (0, 0)


def test_closing_stops_the_ready():
    """Closing stops each ready process once, and no leased one."""
    harness = PoolHarness(3).fill()
    leased = harness.pool.lease().result(0)
    harness.pool.close()
    harness.pool.close()
    assert harness.stopped == [fake for fake in harness.made if fake is not leased]


def test_failing_after_closing():
    """A boot that fails after closing begins no pause."""
    harness = PoolHarness(1).fail()
    harness.pool.fill()
    harness.pool.close()
    harness.boot_threads.run()
    assert not harness.pauses
    assert not harness.boot_threads.jobs


def test_pause_that_ends_after_closing():
    """A pause that ends after closing begins no boot."""
    harness = PoolHarness(1).fail().fill()
    harness.pool.close()
    harness.resume()
    assert not harness.boot_threads.jobs


def test_no_thread_to_wait_in():
    """If no thread can start for the pause, the next turn tries again."""
    harness = PoolHarness(1)

    def none(seconds, function):
        raise RuntimeError("can't start new thread")

    harness.pool._later = none
    harness.fail().fill()
    assert harness.pool.health()["status"] == "failing"
    harness.fill()
    assert harness.pool.health()["status"] == "ready"
