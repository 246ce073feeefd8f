"""Admission: how many turns run at once, who waits, and who is next."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.admission_callers import TICK, World
from wrapper.errors import ClientGone, InvalidRequest, RateLimited, TurnStopped, Unavailable
from wrapper.routes.headers import error_headers
from wrapper.services.limits.admission import Admission
from wrapper.services.limits.refusals import LONGEST_RETRY
from wrapper.services.principal import Caller, EndUser, Principal

ALICE, BOB, CAROL = (Principal(name) for name in ("alice", "bob", "carol"))
FEW = Principal("few", concurrent_turns=1)
SOME = Principal("some", concurrent_turns=3)
SHOP = Principal("shop", user_concurrent_turns=2)
ANN, BEN = (EndUser.named(SHOP, name) for name in ("ann", "ben"))


@pytest.fixture
def a_world():
    """Make worlds whose callers all leave after the test."""
    made = []

    def make(*args, **options):
        made.append(World(*args, **options))
        return made[-1]

    yield make
    for world in made:
        world.close()


def load(places=0, running=0, waiting=0):
    return {"running": running, "waiting": waiting, "places": places}


def test_places():
    """As many turns are admitted as there are places. Without a queue the next one is refused."""
    admission = Admission(3)
    admission.admit(2)
    admission.admit(1)
    with pytest.raises(RateLimited, match=r"All 3 turns .* \(MAX_CONCURRENT_TURNS\)") as caught:
        admission.admit(1)
    assert error_headers(caught.value) == {"Retry-After": "1"}


def test_background_yields(a_world):
    """A request in the background waits until no other one could use its place."""
    world = a_world(2)
    first, second = world.ask(), world.ask()
    later, sooner = world.ask(background=True), world.ask()
    world.end(first)
    assert sooner.has
    assert not later.has
    world.end(second)
    world.end(sooner)
    assert later.has


def test_background_spare(a_world):
    """Requests in the background leave a place free, unless one of them needs all."""
    world = a_world(2)
    one, other = world.ask(background=True), world.ask(background=True)
    assert one.has
    assert not other.has
    assert world.ask().has
    assert a_world(2).ask(2, background=True).has
    assert a_world(1).ask(background=True).has


def test_background_leaves_places_to_sessions(a_world):
    """Requests in the background displace no process that is kept for a session, while it is."""
    world = a_world(4, kept=2)
    one, other = world.ask(background=True), world.ask(background=True)
    assert (one.has, other.has) == (True, False)
    assert world.ask().has
    world.kept = 0
    world.later(TICK)
    assert other.has


def test_background_goes_on_beside_sessions(a_world):
    """One request in the background runs while no other does, whatever is kept for sessions."""
    world = a_world(2, kept=2)
    one, other = world.ask(background=True), world.ask(background=True)
    assert (one.has, other.has) == (True, False)
    world.end(one)
    assert other.has
    assert a_world(2, kept=2).ask(2, background=True).has


def test_background_waits(a_world):
    """Requests in the background wait beyond QUEUE_TIMEOUT, and fill no queue for others."""
    world = a_world(1, queue=1, timeout=1.0)
    first = world.ask()
    later = [world.ask(background=True) for _ in range(3)]
    world.later(5.0)
    other = world.ask()
    assert not any(caller.error for caller in (*later, other))
    world.end(first)
    assert other.has


def test_all_or_none():
    """A request that needs more places than are free takes none of them."""
    admission = Admission(3)
    admission.admit(1)
    with pytest.raises(RateLimited, match="for 3"):
        admission.admit(3)
    assert admission.load() == load(3, running=1)
    admission.admit(2)


def test_places_given_back():
    """A place that is given back serves another request, and is taken again before new ones."""
    admission = Admission(1)
    permit = admission.admit(1)
    permit.give_back()
    other = admission.admit(1)
    taken = []
    permit.take_again(lambda: taken.append(True))
    assert (taken, admission.load()) == ([], load(1, running=1))
    other()
    assert (taken, admission.load()) == ([True], load(1, running=1))
    permit()
    assert admission.load() == load(1)
    assert not admission.busy()


def test_requests_without_places_still_run():
    """A request that has given its places back still counts as one that runs."""
    admission = Admission(1)
    permit = admission.admit(1)
    permit.give_back()
    assert admission.busy()
    permit()
    assert not admission.busy()


def test_wait_for_a_place_ends():
    """A wait for a place that is stopped takes none."""
    admission = Admission(1)
    permit = admission.admit(1)
    permit.give_back()
    other, taken = admission.admit(1), []
    stop = permit.take_again(lambda: taken.append(True))
    stop()
    other()
    assert (taken, admission.load()) == ([], load(1))
    stop()


def test_returning_under_a_limit():
    """A key's limit holds for a place that is taken again, too, which others do not wait for."""
    admission = Admission(3)
    permit = admission.admit(1, Caller(FEW))
    permit.give_back()
    other, taken = admission.admit(1, Caller(FEW)), []
    permit.take_again(lambda: taken.append(True))
    assert taken == []
    admission.admit(1, Caller(ALICE))
    other()
    assert taken == [True]


def test_more_than_all():
    """A request for more places than there are gets a 400 that says what to do."""
    admission = Admission(2, queue=9, timeout=9)
    for _ in range(2):
        with pytest.raises(InvalidRequest, match=r"no more than 2 .*; ask for fewer") as caught:
            admission.admit(3)
        assert caught.value.param == "n"
        admission.admit(1)


def test_releasing_twice():
    """Releasing the same places twice adds no places."""
    admission = Admission(2)
    release = admission.admit(2)
    release()
    release()
    assert admission.load() == load(2)
    admission.admit(2)
    assert admission.load() == load(2, running=2)


def test_waiting(a_world):
    """A request without a place waits, and gets the next free place at once."""
    world = a_world(1)
    first, second = world.ask(), world.ask()
    assert world.admission.load() == load(1, running=1, waiting=1)
    world.later(3)
    assert (first.has, second.has) == (True, False)
    world.end(first)
    assert (second.has, second.ended) == (True, 3)
    assert world.admission.load() == load(1, running=1)


def test_busy(a_world):
    """An admission is busy while a request has places or waits for them."""
    world = a_world(1)
    assert not world.admission.busy()
    first, second = world.ask(), world.ask()
    second.gone = True
    world.end(first)
    assert not world.admission.busy()


def test_a_full_queue(a_world):
    """With a full queue the next request is refused at once, with the reason."""
    world = a_world(1, queue=2)
    world.ask()
    waiting = [world.ask(), world.ask()]
    refused = world.ask()
    assert isinstance(refused.error, RateLimited)
    assert "2 requests wait already (MAX_QUEUE)" in refused.error.message
    assert world.waiting() == waiting


@pytest.mark.parametrize("timeout", [1, 10, 9.9])
def test_queue_timeout(a_world, timeout):
    """A request is refused after exactly QUEUE_TIMEOUT, with the reason."""
    world = a_world(1, timeout=timeout)
    world.ask()
    late = world.ask()
    world.later(timeout - 0.01)
    assert late.waits_for
    world.later(0.01)
    assert isinstance(late.error, RateLimited)
    assert late.ended == timeout
    assert f"also after {timeout:g} s (QUEUE_TIMEOUT)" in late.error.message
    assert world.admission.load() == load(1, running=1)


def test_leaving(a_world):
    """A client that leaves is out of the queue within a tick, and those behind it move up."""
    world = a_world(1)
    first, leaver, second = (world.ask() for _ in range(3))
    leaver.gone = True
    world.later(TICK)
    assert isinstance(leaver.error, ClientGone)
    assert world.waiting() == [second]
    world.end(first)
    assert second.has


def test_leaving_just_then(a_world):
    """A client that has left when a place is free does not take it; the next one does."""
    world = a_world(1)
    first, leaver, second = (world.ask() for _ in range(3))
    leaver.gone = True
    world.end(first)
    assert isinstance(leaver.error, ClientGone)
    assert (second.has, second.ended) == (True, 0)


def test_shutdown():
    """An error from *check* ends the wait unchanged."""
    admission = Admission(1, queue=1, timeout=99)
    admission.admit(1)

    def closing():
        raise Unavailable("The gateway is shutting down.")

    with pytest.raises(Unavailable):
        admission.admit(1, check=closing)
    assert admission.load() == load(1, running=1)


@hypothesis_settings(max_examples=50)
@given(st.lists(st.sampled_from([ALICE, BOB, CAROL]), max_size=12))
@example([ALICE, ALICE, ALICE, BOB, BOB, CAROL])
def test_callers_take_turns(principals):
    """Waiting callers get places in turn, however many requests one of them has."""
    world = World(1)
    running = world.ask()
    callers = [world.ask(principal=principal) for principal in principals]
    order = []
    while callers:
        world.end(running)
        (running,) = world.running()
        callers.remove(running)
        order.append(running)
    rounds = [
        [other.key for other in order[:at]].count(caller.key) for at, caller in enumerate(order)
    ]
    assert rounds == sorted(rounds)
    for key in ("alice", "bob", "carol"):
        own = [caller.number for caller in order if caller.key == key]
        assert own == sorted(own)


def test_nobody_keeps_others_out(a_world):
    """When the queue is full, the last request of the caller with most requests is refused."""
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
    """A caller at its own limit waits and delays nobody else."""
    world = a_world(3)
    first, second = world.ask(principal=FEW), world.ask(principal=FEW)
    assert world.ask(principal=ALICE).has
    assert second.waits_for
    world.end(first)
    assert second.has


def test_own_limit_is_told(a_world):
    """A caller that is refused for its own limit learns which one."""
    world = a_world(9, timeout=1)
    world.ask(principal=FEW)
    late = world.ask(principal=FEW)
    world.later(1)
    assert isinstance(late.error, RateLimited)
    assert "All 1 turns that the key 'few' may run at once (concurrent_turns)" in str(late.error)


def test_users_of_a_key(a_world):
    """A user at their limit waits, delays no other user of the key, and keeps their own order."""
    world = a_world(9)
    first = world.ask(2, SHOP, ANN)
    small, smaller = world.ask(1, SHOP, ANN), world.ask(1, SHOP, ANN)
    other = world.ask(2, SHOP, BEN)
    assert (small.has, smaller.has, other.has) == (False, False, True)
    world.end(first)
    large = world.ask(2, SHOP, ANN)
    after = world.ask(1, SHOP, ANN)
    assert (small.has, smaller.has) == (True, True)
    world.end(small)
    assert not (large.has)
    assert not (after.has)
    world.end(smaller)
    assert (large.has, after.has) == (True, False)


def test_a_user_that_returns(a_world):
    """A user's limit holds for a place that is taken again, too."""
    admission = a_world(9).admission
    permit = admission.admit(2, Caller(SHOP, user=ANN))
    permit.give_back()
    other, taken = admission.admit(1, Caller(SHOP, user=ANN)), []
    permit.take_again(lambda: taken.append(True))
    assert taken == []
    other()
    assert taken == [True]


def test_a_user_learns_their_limit(a_world):
    """A user that is refused for their own limit learns which one, and when to try again."""
    world = a_world(9, timeout=1)
    world.ask(2, SHOP, ANN)
    late = world.ask(1, SHOP, ANN)
    world.later(1)
    assert isinstance(late.error, RateLimited)
    assert (
        "All 2 turns that the request's user (of the key 'shop') may run at once "
        "(user_concurrent_turns) are taken" in late.error.message
    )
    assert late.error.retry_after == 1


def test_a_user_cannot_fill_the_queue(a_world):
    """A full queue refuses the user of a key who has most requests in it."""
    world = a_world(9, queue=2)
    world.ask(2, SHOP, ANN)
    world.ask(2, SHOP, BEN)
    first, second = world.ask(1, SHOP, ANN), world.ask(1, SHOP, ANN)
    other = world.ask(1, SHOP, BEN)
    assert isinstance(second.error, RateLimited)
    assert first.waits_for
    assert other.waits_for


def test_a_large_request_is_not_passed(a_world):
    """Places stay free for a large request that is next, and then others go on."""
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
    """When a large request leaves, those that it delayed go on at once."""
    world = a_world(3, timeout=5)
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
    """Retry-After is the time that the waiting turns need, by the duration of the last turns."""
    world = a_world(2, queue=2)
    for seconds in (2, 4):
        turn = world.ask()
        world.later(seconds)
        world.end(turn)
    for _ in range(4):
        world.ask()
    assert retry_of(world.ask()) == 5  # 3 turns of 3 seconds, in 2 places


def test_when_to_come_again_at_first(a_world):
    """Before any turn has ended, the running turns tell how long turns take."""
    world = a_world(2, queue=0)
    world.ask()
    world.later(10)
    world.ask()
    assert retry_of(world.ask()) == 3  # 1 turn of 5 seconds, in 2 places
    world.later(10_000)
    assert retry_of(world.ask()) == LONGEST_RETRY


def test_when_to_come_again_at_ones_own_limit(a_world):
    """For a key at its own limit, Retry-After is the time that its own turns need."""
    world = a_world(9, queue=3)
    world.ask(principal=FEW)
    world.later(4)
    for _ in range(3):
        world.ask(principal=FEW)
    assert retry_of(world.ask(principal=FEW)) == 16


def test_threads():
    """With real threads every request is served, and never too many turns run at once."""
    admission = Admission(3, queue=100, timeout=30, tick=30)
    running, most = [], []

    def turn(number):
        turns, principal = [(1, FEW), (2, ALICE), (1, BOB), (3, BOB)][number % 4]
        release = admission.admit(turns, Caller(principal))
        running.append(turns)
        most.append(sum(running))
        time.sleep(0.0005)
        running.remove(turns)
        release()

    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(turn, range(600)))
    assert max(most) <= 3
    assert admission.load() == load(3)
    assert time.monotonic() - began < 20  # a forgotten request would have waited for 30 s


class Admitting(RuleBasedStateMachine):
    """Requests come, end, leave and wait in any order."""

    @initialize(places=st.integers(3, 5), queue=st.integers(0, 6))
    def begin(self, places, queue):
        self.places, self.queue = places, queue
        self.world = World(places, queue=queue, timeout=2)
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
        """Taken places stay within the limits of gateway and key, and none is lost."""
        running = self.world.running()
        taken = sum(caller.turns for caller in running)
        assert taken <= self.places
        for principal, most in ((FEW, 1), (SOME, 3)):
            assert sum(caller.turns for caller in running if caller.principal is principal) <= most
        waiting = len(self.world.waiting())
        assert waiting <= self.queue
        assert self.world.admission.load() == load(self.places, taken, waiting)

    @invariant()
    def nobody_is_forgotten(self):
        """No request waits for free places, unless they stay free for another request."""
        running = self.world.running()
        free = self.places - sum(caller.turns for caller in running)
        heads = {caller.key: caller for caller in reversed(self.world.waiting())}
        able = [
            caller
            for caller in heads.values()
            if (most := caller.principal.concurrent_turns) is None
            or most
            >= caller.turns + sum(other.turns for other in running if other.key == caller.key)
        ]
        assert not able or any(caller.turns > free for caller in able)

    @invariant()
    def nobody_passes_its_own(self):
        """The requests of one caller keep their order."""
        new = [caller for caller in self.world.running() if caller.number not in self.admitted]
        self.admitted |= {caller.number for caller in new}
        for caller in new:
            later = [other.number for other in self.world.waiting() if other.key == caller.key]
            assert all(caller.number < number for number in later)

    @invariant()
    def refused_in_time(self):
        """A request is refused at once or after its timeout, with a Retry-After."""
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
        assert self.world.admission.load() == load(self.places)
        assert not self.world.waiting()


Admitting.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=40)
TestAdmitting = Admitting.TestCase


# Stopping


def test_stop_what_runs():
    """The permit of a stopped request raises why, and what it does is no longer told."""
    admission = Admission(1)
    permit = admission.admit(1, Caller(ALICE, request_id="req_1"))
    permit.describe(lambda: "runs Bash")
    (request,) = admission.requests()
    assert (request.request_id, request.activity, request.stopped) == ("req_1", "runs Bash", False)
    permit.check()
    assert admission.stop(request.number, ALICE)
    assert admission.requests()[0].stopped
    with pytest.raises(TurnStopped, match="alice has stopped") as caught:
        permit.check()
    assert error_headers(caught.value) == {"x-should-retry": "false"}
    permit()
    assert not admission.stop(request.number, ALICE)


def test_who_may_stop():
    """Callers stop their own requests, and admins all."""
    admission = Admission(2)
    permits = [admission.admit(1, Caller(ALICE)), admission.admit(1, Caller(ALICE))]
    first, second = (request.number for request in admission.requests())
    assert not admission.stop(first, BOB)
    permits[0].check()
    assert admission.stop(first, Principal("root", admin=True))
    with pytest.raises(TurnStopped):
        permits[0].check()
    permits[1].check()
    assert second != first


def test_stop_what_waits():
    """A stopped request that waits leaves the queue, and its client learns why."""
    admission = Admission(1, queue=1, timeout=60, tick=0.01)
    permit = admission.admit(1, Caller(ALICE))
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(admission.admit, 1, Caller(BOB))
        while len(admission.requests()) < 2:
            time.sleep(0.001)
        assert admission.stop(admission.requests()[1].number, BOB)
        with pytest.raises(TurnStopped):
            waiting.result(60)
    permit()
    assert not admission.busy()
