"""Admission: how many turns may run at once, who waits, and who is next."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.admission_callers import TICK, World
from wrapper.errors import ClientGone, InvalidRequest, RateLimited, Unavailable
from wrapper.routes.headers import error_headers
from wrapper.services.limits.admission import LONGEST_RETRY, Admission
from wrapper.services.principal import Principal

ALICE, BOB, CAROL = (Principal(name) for name in ("alice", "bob", "carol"))
FEW = Principal("few", concurrent_turns=1)
SOME = Principal("some", concurrent_turns=3)


@pytest.fixture
def a_world():
    """Make a world whose callers all leave after the test."""
    made = []

    def make(*args, **options):
        made.append(World(*args, **options))
        return made[-1]

    yield make
    for world in made:
        world.close()


def told(places=0, running=0, waiting=0):
    return {"running": running, "waiting": waiting, "places": places}


def test_places():
    """As many turns are admitted as there are places; without a queue the next is refused."""
    admission = Admission(3)
    admission.admit(2)
    admission.admit(1)
    with pytest.raises(RateLimited, match=r"All 3 turns .* \(MAX_CONCURRENT_TURNS\)") as caught:
        admission.admit(1)
    assert error_headers(caught.value) == {"Retry-After": "1"}


def test_all_or_none():
    """A request that needs more places than are free takes none of them."""
    admission = Admission(3)
    admission.admit(1)
    with pytest.raises(RateLimited, match="for 3"):
        admission.admit(3)
    assert admission.load() == told(3, running=1)
    admission.admit(2)


def test_more_than_all():
    """A request for more places than there are is not to be tried again, and says what to do."""
    admission = Admission(2, queue=9, patience=9)
    for _ in range(2):
        with pytest.raises(InvalidRequest, match=r"no more than 2 .*; ask for fewer") as caught:
            admission.admit(3)
        assert caught.value.param == "n"
        admission.admit(1)


def test_releasing_twice():
    """Giving the same places back twice makes no new ones."""
    admission = Admission(2)
    release = admission.admit(2)
    release()
    release()
    assert admission.load() == told(2)
    admission.admit(2)
    assert admission.load() == told(2, running=2)


def test_waiting(a_world):
    """Who finds no place waits, and has the first one that is given back, at once."""
    world = a_world(1)
    first, second = world.ask(), world.ask()
    assert world.admission.load() == told(1, running=1, waiting=1)
    world.later(3)
    assert (first.has, second.has) == (True, False)
    world.end(first)
    assert (second.has, second.ended) == (True, 3)
    assert world.admission.load() == told(1, running=1)


def test_busy(a_world):
    """An admission is busy as long as anybody has a place or waits for one."""
    world = a_world(1)
    assert not world.admission.busy()
    first, second = world.ask(), world.ask()
    second.gone = True
    world.end(first)
    assert not world.admission.busy()


def test_a_full_queue(a_world):
    """With all places taken and a full queue the next is refused at once, and told why."""
    world = a_world(1, queue=2)
    world.ask()
    waiting = [world.ask(), world.ask()]
    refused = world.ask()
    assert isinstance(refused.error, RateLimited)
    assert "2 requests wait already (MAX_QUEUE)" in refused.error.message
    assert world.waiting() == waiting


@pytest.mark.parametrize("patience", [1, 10, 9.9])
def test_patience(a_world, patience):
    """Who has waited for QUEUE_TIMEOUT, no shorter and no longer, is refused, and told why."""
    world = a_world(1, patience=patience)
    world.ask()
    late = world.ask()
    world.later(patience - 0.01)
    assert late.waits_for
    world.later(0.01)
    assert isinstance(late.error, RateLimited)
    assert late.ended == patience
    assert f"also after {patience:g} s (QUEUE_TIMEOUT)" in late.error.message
    assert world.admission.load() == told(1, running=1)


def test_leaving(a_world):
    """Who leaves gives its place in the queue up within a tick, and those behind move up."""
    world = a_world(1)
    first, leaver, second = (world.ask() for _ in range(3))
    leaver.gone = True
    world.later(TICK)
    assert isinstance(leaver.error, ClientGone)
    assert world.waiting() == [second]
    world.end(first)
    assert second.has


def test_leaving_just_then(a_world):
    """Who has left when its turn comes does not take it: the next one does."""
    world = a_world(1)
    first, leaver, second = (world.ask() for _ in range(3))
    leaver.gone = True
    world.end(first)
    assert isinstance(leaver.error, ClientGone)
    assert (second.has, second.ended) == (True, 0)


def test_shutdown():
    """What ends the wait is told as it is."""
    admission = Admission(1, queue=1, patience=99)
    admission.admit(1)

    def closing():
        raise Unavailable("The gateway is shutting down.")

    with pytest.raises(Unavailable):
        admission.admit(1, check=closing)
    assert admission.load() == told(1, running=1)


@hypothesis_settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from([ALICE, BOB, CAROL]), max_size=12))
@example([ALICE, ALICE, ALICE, BOB, BOB, CAROL])
def test_callers_take_turns(principals):
    """Of callers that wait each gets a place in turn, however many wait of one of them."""
    world = World(1)
    running = world.ask()
    callers = [world.ask(principal=principal) for principal in principals]
    order = []
    while callers:
        world.end(running)
        (running,) = world.running()
        callers.remove(running)
        order.append(running)
    rounds = [[one.key for one in order[:at]].count(caller.key) for at, caller in enumerate(order)]
    assert rounds == sorted(rounds)
    for key in ("alice", "bob", "carol"):
        own = [caller.number for caller in order if caller.key == key]
        assert own == sorted(own)


def test_nobody_keeps_others_out(a_world):
    """Where the queue is full the last request of who has most of them there gives way."""
    world = a_world(1, queue=3)
    world.ask()
    first, second, last = (world.ask(principal=ALICE) for _ in range(3))
    bob = world.ask(principal=BOB)
    assert isinstance(last.error, RateLimited)
    assert world.waiting() == [first, second, bob]
    carol = world.ask(principal=CAROL)
    assert isinstance(second.error, RateLimited)
    assert world.waiting() == [first, bob, carol]
    assert isinstance(world.ask(principal=BOB).error, RateLimited)
    assert world.waiting() == [first, bob, carol]


def test_own_limit(a_world):
    """A caller at its own limit waits, and holds nobody else up meanwhile."""
    world = a_world(3)
    first, second = world.ask(principal=FEW), world.ask(principal=FEW)
    assert world.ask(principal=ALICE).has
    assert second.waits_for
    world.end(first)
    assert second.has


def test_own_limit_is_told(a_world):
    """Who waits in vain for its own limit is told which it is."""
    world = a_world(9, patience=1)
    world.ask(principal=FEW)
    late = world.ask(principal=FEW)
    world.later(1)
    assert isinstance(late.error, RateLimited)
    assert "All 1 turns that the key 'few' may run at once (concurrent_turns)" in str(late.error)


def test_a_large_request_is_not_passed(a_world):
    """What a large request that is next needs is kept for it, and then others go on."""
    world = a_world(3)
    running = [world.ask() for _ in range(3)]
    large = world.ask(3, ALICE)
    small = world.ask(1, BOB)
    for caller in running[:2]:
        world.end(caller)
        assert not large.has
        assert not small.has
    world.end(running[2])
    assert large.has
    assert not small.has
    world.end(large)
    assert small.has


def test_a_large_request_that_gives_up(a_world):
    """A large request that leaves lets those go at once that it held up."""
    world = a_world(3, patience=5)
    for _ in range(2):
        world.ask()
    large = world.ask(3, ALICE)
    world.later(3)
    small = world.ask(1, BOB)
    world.later(2)
    assert isinstance(large.error, RateLimited)
    assert (small.has, small.ended) == (True, 5)


def retry_of(caller):
    assert isinstance(caller.error, RateLimited)
    seconds = caller.error.retry_after
    assert f"try again in {seconds} s." in str(caller.error)
    return seconds


def test_when_to_come_again(a_world):
    """Retry-After is how long the turns of before take, for all those that are before it."""
    world = a_world(2, queue=2)
    for seconds in (2, 4):
        turn = world.ask()
        world.later(seconds)
        world.end(turn)
    for _ in range(4):
        world.ask()
    assert retry_of(world.ask()) == 5  # 3 turns of 3 seconds, in 2 places


def test_when_to_come_again_at_first(a_world):
    """Before any turn has ended those that run say how long they take."""
    world = a_world(2, queue=0)
    world.ask()
    world.later(10)
    world.ask()
    assert retry_of(world.ask()) == 3  # 1 turn of 5 seconds, in 2 places
    world.later(10_000)
    assert retry_of(world.ask()) == LONGEST_RETRY


def test_when_to_come_again_at_ones_own_limit(a_world):
    """For a key at its own limit it is how long its own turns need."""
    world = a_world(9, queue=3)
    world.ask(principal=FEW)
    world.later(4)
    for _ in range(3):
        world.ask(principal=FEW)
    assert retry_of(world.ask(principal=FEW)) == 16


def test_threads():
    """In real threads, too, nobody is forgotten, and there are never too many at once."""
    admission = Admission(3, queue=100, patience=30, tick=30)
    running, most = [], []

    def turn(number):
        turns, principal = [(1, FEW), (2, ALICE), (1, BOB), (3, BOB)][number % 4]
        release = admission.admit(turns, principal)
        running.append(turns)
        most.append(sum(running))
        time.sleep(0.0005)
        running.remove(turns)
        release()

    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(turn, range(600)))
    assert max(most) <= 3
    assert admission.load() == told(3)
    assert time.monotonic() - began < 20  # who was forgotten would have looked up after 30 s


class Admitting(RuleBasedStateMachine):
    """Callers come, end, leave and wait in any order."""

    @initialize(places=st.integers(3, 5), queue=st.integers(0, 6))
    def begin(self, places, queue):
        self.places, self.queue = places, queue
        self.world = World(places, queue=queue, patience=2)
        self.admitted: set[int] = set()

    @rule(turns=st.integers(1, 3), principal=st.sampled_from([ALICE, BOB, FEW, SOME]))
    def come(self, turns, principal):
        self.world.ask(1 if principal is FEW else turns, principal)

    @precondition(lambda self: self.world.running())
    @rule(data=st.data())
    def end(self, data):
        self.world.end(data.draw(st.sampled_from(self.world.running())))

    @precondition(lambda self: self.world.waiting())
    @rule(data=st.data())
    def leave(self, data):
        data.draw(st.sampled_from(self.world.waiting())).gone = True

    @rule(ticks=st.integers(1, 5))
    def pass_time(self, ticks):
        self.world.later(ticks * TICK)
        assert not any(caller.gone for caller in self.world.waiting())

    @invariant()
    def never_too_many(self):
        """No more places are taken than there are, no more than a key may, and none is lost."""
        running = self.world.running()
        taken = sum(caller.turns for caller in running)
        assert taken <= self.places
        for principal, most in ((FEW, 1), (SOME, 3)):
            assert sum(one.turns for one in running if one.principal is principal) <= most
        waiting = len(self.world.waiting())
        assert waiting <= self.queue
        assert self.world.admission.load() == told(self.places, taken, waiting)

    @invariant()
    def nobody_is_forgotten(self):
        """Nobody waits for what is free, unless it is kept for another."""
        running = self.world.running()
        free = self.places - sum(caller.turns for caller in running)
        heads = {caller.key: caller for caller in reversed(self.world.waiting())}
        able = [
            caller
            for caller in heads.values()
            if (most := caller.principal.concurrent_turns) is None
            or most >= caller.turns + sum(one.turns for one in running if one.key == caller.key)
        ]
        assert not able or any(caller.turns > free for caller in able)

    @invariant()
    def nobody_passes_its_own(self):
        """Of one caller's requests the first is the first."""
        new = [one for one in self.world.running() if one.number not in self.admitted]
        self.admitted |= {one.number for one in new}
        for one in new:
            later = [other.number for other in self.world.waiting() if other.key == one.key]
            assert all(one.number < number for number in later)

    @invariant()
    def all_are_told_in_time(self):
        """Who was refused was told when to come again: at once, or after its time."""
        for caller in self.world.callers:
            if isinstance(caller.error, RateLimited):
                assert 1 <= (caller.error.retry_after or 0) <= LONGEST_RETRY
                assert caller.ended - caller.began <= 2
                if "QUEUE_TIMEOUT" in str(caller.error):
                    assert caller.ended - caller.began == 2
            elif caller.waits_for:
                assert self.world.now - caller.began < 2

    def teardown(self):
        if not hasattr(self, "world"):
            return
        while running := self.world.running():
            self.world.end(running[0])
        self.world.close()
        assert self.world.admission.load() == told(self.places)
        assert not self.world.waiting()


Admitting.TestCase.settings = hypothesis_settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
TestAdmitting = Admitting.TestCase
