"""The pool: warm processes, leased once each, and booted anew without haste or pause for ever."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import pytest

from wrapper.errors import BadGateway, Overloaded, Unavailable
from wrapper.services.claude.errors import BootFailed, Refused
from wrapper.services.claude.processes.pool import FIRST_DELAY, LONGEST_DELAY, Pool


class Fake:
    """A process that a test lets die or speak."""

    def __init__(self, number):
        self.number = number
        self.dead = self.spoke = False

    def alive_and_silent(self):
        return not (self.dead or self.spoke)

    def exit_code(self):
        return 1 if self.dead else None


class Booters(Executor):
    """Runs what was submitted when the test says so, in its own thread."""

    def __init__(self):
        self.jobs: deque[Callable[[], None]] = deque()

    def submit(self, function, /, *args, **kwargs):
        self.jobs.append(function)

    def run(self, times=None):
        """Run so many jobs, or all, with those that they submit."""
        while self.jobs and times != 0:
            self.jobs.popleft()()
            times = times and times - 1


class World:
    """A pool and all around it. `errors` are what the next boots raise, None for success."""

    def __init__(self, size):
        self.booters = Booters()
        self.errors: deque[Exception | None] = deque()
        self.made: list[Any] = []
        self.stopped: list[Any] = []
        self.refused: list[str] = []
        self.pauses: list[tuple[float, Callable[[], None]]] = []
        self.pool = Pool(
            size,
            boot=self.boot,
            stop=self.stopped.append,
            booters=self.booters,
            refused=self.refused.append,
            later=lambda seconds, function: self.pauses.append((seconds, function)),
        )

    def boot(self):
        error = self.errors.popleft() if self.errors else None
        if error:
            raise error
        self.made.append(Fake(len(self.made)))
        return self.made[-1]

    def fill(self):
        self.pool.fill()
        self.booters.run()
        return self

    def fail(self, *errors):
        """Let the next boots fail."""
        self.errors += errors or [BootFailed("it coughed")]
        return self

    def resume(self):
        """Let the pause pass; return how long it was."""
        seconds, function = self.pauses.pop(0)
        function()
        return seconds

    def status(self):
        health = self.pool.health()
        return health["status"], health["ready"], health["booting"]


@pytest.mark.parametrize("size", [0, 1, 3])
def test_filling(size):
    """A pool boots as many processes as it is to keep, and then rests."""
    world = World(size).fill().fill()
    assert world.status() == ("ready", size, 0)
    assert len(world.made) == size


def test_booting():
    """While processes boot the pool says so, and boots no more of them."""
    world = World(2)
    world.pool.fill()
    world.pool.fill()
    assert world.status() == ("booting", 0, 2)
    assert len(world.booters.jobs) == 2


def test_leasing_a_warm_one():
    """A warm process is leased at once, each to one turn only, and replaced at the next fill."""
    world = World(2).fill()
    leased = [world.pool.lease().result(0), world.pool.lease().result(0)]
    assert leased == world.made
    assert not world.booters.jobs
    world.fill()
    assert world.status() == ("ready", 2, 0)
    assert world.pool.lease().result(0) not in leased


def test_leasing_where_none_is_ready():
    """Where none is ready, a turn gets the first that boots."""
    world = World(1)
    future = world.pool.lease()
    assert not future.done()
    world.booters.run()
    assert future.result(0) is world.made[0]
    assert world.status() == ("ready", 1, 0)


def test_first_come_first_served():
    """Turns that wait are served in the order in which they came."""
    world = World(0)
    futures = [world.pool.lease() for _ in range(3)]
    world.booters.run(1)
    assert [future.done() for future in futures] == [True, False, False]
    world.booters.run()
    assert [future.result(0) for future in futures] == world.made


def test_one_boot_for_each_that_waits():
    """Each turn that waits has a process booted for it, beside those that are kept."""
    world = World(2)
    for _ in range(5):
        world.pool.lease()
    assert len(world.booters.jobs) == 7
    world.booters.run()
    assert world.status() == ("ready", 2, 0)


@pytest.mark.parametrize("fault", ["dead", "spoke"])
def test_spoilt_processes(fault):
    """A process that died, or spoke unasked, is stopped and never leased."""
    world = World(2).fill()
    setattr(world.made[0], fault, True)
    assert world.pool.lease().result(0) is world.made[1]
    assert world.stopped == [world.made[0]]
    world.fill()
    assert world.status() == ("ready", 2, 0)


def test_health_counts_the_living():
    """A process that died is not reported as ready."""
    world = World(1).fill()
    world.made[0].dead = True
    assert world.status()[:2] == ("booting", 0)


def test_giving_up():
    """A process booted for a turn that gave up goes to the next one, or is kept."""
    world = World(1)
    gone, waiting = world.pool.lease(), world.pool.lease()
    assert gone.cancel()
    world.booters.run()
    assert waiting.result(0) is world.made[0]
    assert world.status()[:2] == ("ready", 1)
    assert len(world.made) - len(world.stopped) == 2


def test_surplus():
    """A process that nobody needs any more is stopped."""
    world = World(0)
    assert world.pool.lease().cancel()
    world.booters.run()
    assert world.stopped == world.made
    assert world.status() == ("ready", 0, 0)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (BootFailed("it coughed"), Unavailable, "it coughed"),
        (BadGateway("There is no claude program."), BadGateway, "no claude program"),
        (Overloaded("Busy."), Overloaded, "Busy"),
        (ZeroDivisionError("secret"), BadGateway, "see the log"),
    ],
)
def test_failed_boots(error, kind, message):
    """A turn that waits for boots that fail is told why, and when to come again."""
    world = World(0).fail(error, error)
    future = world.pool.lease()
    world.booters.run()
    world.resume()
    world.booters.run()
    with pytest.raises(kind, match=message) as caught:
        future.result(0)
    assert "secret" not in caught.value.message
    assert caught.value.headers() == {"Retry-After": "2"}
    health = world.pool.health()
    assert (health["status"], health["error"]) == ("failing", caught.value.message)


def test_pause_after_a_failure():
    """After failures nothing is booted for a while, and turns are refused at once."""
    world = World(1).fail(BootFailed("once"), BootFailed("it coughed")).fill()
    world.resume()
    world.booters.run()
    future = world.pool.lease()
    with pytest.raises(Unavailable, match="it coughed"):
        future.result(0)
    assert not world.booters.jobs


def test_a_single_failure_is_waited_out():
    """A single boot that failed refuses nobody: the turn waits for the next one."""
    world = World(1).fail().fill()
    future = world.pool.lease()
    assert not future.done()
    world.resume()
    world.booters.run()
    assert future.result(0) is world.made[0]


def test_after_the_pause():
    """After the pause turns wait again, and a boot that succeeds makes all well."""
    world = World(1).fail().fill()
    world.resume()
    future = world.pool.lease()
    assert not future.done()
    world.booters.run()
    assert future.result(0) is world.made[0]
    assert world.status() == ("ready", 1, 0)
    assert "error" not in world.pool.health()


def test_pauses_grow():
    """Each failure in a row doubles the pause, up to a limit; a success forgets them."""
    world = World(1).fail(*[BootFailed("no") for _ in range(9)]).fill()
    pauses = []
    while world.pauses:
        pauses.append(world.resume())
        world.booters.run()
    assert pauses == [FIRST_DELAY * 2 * 2**i for i in range(6)] + [LONGEST_DELAY] * 3
    world.fail()
    world.pool.lease().result(0)
    world.fill()
    assert world.resume() == pauses[0]


def test_one_pause_for_failures_together():
    """Boots that fail together are one failure and make one pause; then all are tried again."""
    world = World(3).fail(*[BootFailed("no") for _ in range(6)]).fill()
    assert len(world.pauses) == 1
    pauses = [world.resume()]
    assert len(world.booters.jobs) == 3
    world.booters.run()
    pauses.append(world.resume())
    assert pauses == [FIRST_DELAY * 2, FIRST_DELAY * 4]


def test_failures_beside_a_success():
    """A turn is not refused while another boot is under way that may serve it."""
    world = World(0).fail()
    first, second = world.pool.lease(), world.pool.lease()
    world.booters.run(1)
    assert not first.done()
    world.booters.run()
    assert first.result(0) is world.made[0]
    assert not second.done()
    world.resume()
    world.booters.run()
    assert second.result(0) is world.made[1]


def test_ready_while_a_boot_fails():
    """A pool that still has a warm process serves, and is not reported as failing."""
    world = World(2).fail(None, BootFailed("it coughed")).fill()
    assert world.status()[0] != "failing"
    assert world.pool.lease().result(0) is world.made[0]


def test_refused():
    """A CLI that must not serve is never booted again; turns and the owner learn why."""
    world = World(1)
    world.fail(*[Refused("too old; update it")] * 2)
    waiting = world.pool.lease()
    world.booters.run()
    late = world.pool.lease()
    for future in (waiting, late):
        with pytest.raises(BadGateway, match="too old; update it") as caught:
            future.result(0)
        assert caught.value.headers() == {"x-should-retry": "false"}
    assert set(world.refused) == {"too old; update it"}
    assert world.status() == ("failing", 0, 0)
    assert not world.booters.jobs
    assert not world.pauses


def test_closing():
    """Closing stops what is ready, refuses what waits, and lets nothing new begin."""
    world = World(1).fill()
    world.pool.lease()
    waiting = world.pool.lease()
    world.booters.run(1)
    more = world.pool.lease()
    world.pool.close()
    late = world.pool.lease()
    assert waiting.result(0) is world.made[1]
    for future in (more, late):
        with pytest.raises(Unavailable, match="shutting down"):
            future.result(0)
    world.booters.run()
    assert world.stopped == world.made[2:]
    world.fill()
    assert world.status()[1:] == (0, 0)


def test_closing_stops_the_ready():
    """Closing stops each warm process once, and none that was leased."""
    world = World(3).fill()
    leased = world.pool.lease().result(0)
    world.pool.close()
    world.pool.close()
    assert world.stopped == [fake for fake in world.made if fake is not leased]


def test_failing_after_closing():
    """A boot that fails after closing begins no pause."""
    world = World(1).fail()
    world.pool.fill()
    world.pool.close()
    world.booters.run()
    assert not world.pauses
    assert not world.booters.jobs


def test_pause_that_ends_after_closing():
    """A pause that ends after closing begins no boot."""
    world = World(1).fail().fill()
    world.pool.close()
    world.resume()
    assert not world.booters.jobs


def test_no_thread_to_wait_in():
    """Where a pause cannot be waited for whoever comes next tries again: none is for ever."""
    world = World(1)

    def none(seconds, function):
        raise RuntimeError("can't start new thread")

    world.pool._later = none
    world.fail().fill()
    assert world.pool.health()["status"] == "failing"
    world.fill()
    assert world.pool.health()["status"] == "ready"
