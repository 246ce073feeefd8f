"""Admission: limits how many turns run at once, in all and by caller, and queues the others.

Callers take turns, and the requests of one caller keep their order, but for those of users who run
as many turns as their key allows each. The places that the next request needs stay free until it
has all of them, so that small requests do not overtake one for many turns for ever.

Requests for which nobody waits run in the background: only while no other request could use their
places, and never in the last free one, if there are several. They wait for as long as it takes, and
no other request is refused because of them.

A turn that waits for an approval gives its place back. Once it may go on it takes the next free
place, before those that have not begun.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from wrapper.errors import ApiError, InvalidRequest, RateLimited, TurnStopped
from wrapper.services.principal import LOCAL, EndUser, LimitHolder, Principal

# The number of finished turns that tell how long a turn takes.
RECENT = 50
# OpenAI's libraries ignore a longer Retry-After.
LONGEST_RETRY = 60


@dataclass(frozen=True)
class Admitted:
    """A request that runs `turns`, or waits to, for so many `seconds` by now.

    Its `number` is that of no other request of this worker. `activity` says what it does while it
    runs, and `stopped` that it is about to end.
    """

    number: int
    request_id: str
    owner: str
    turns: int
    runs: bool
    seconds: float
    activity: str
    stopped: bool


# Whether its requests run in the background, and the caller's name.
_QueueName = tuple[bool, str]


@dataclass(eq=False)
class _Request:
    turns: int
    principal: Principal
    entered: float
    request_id: str = ""
    background: bool = False
    user: EndUser | None = None
    number: int = field(default_factory=itertools.count(1).__next__)
    decided: threading.Event = field(default_factory=threading.Event)
    since: float = 0.0  # when it was admitted
    refusal: ApiError | None = None
    stopped: TurnStopped | None = None
    activity: Callable[[], str] = lambda: ""
    admitted: Callable[[], None] = lambda: None  # called when it is, under the admission's lock

    @property
    def queue(self) -> _QueueName:
        return self.background, self.principal.name

    @property
    def user_id(self) -> str:
        """Return the id of the user below the key, or "" where no limit is theirs."""
        return self.user.user if self.user else ""


class Admission:
    """Has *places* for turns. A request gets all the places that it needs, or none.

    At most *queue* requests wait for places, for *timeout* seconds. Each checks every *tick*
    seconds whether it should go on waiting. *wait* waits for an event, for some seconds at most.
    """

    def __init__(
        self,
        places: int,
        *,
        queue: int = 0,
        timeout: float = 0.0,
        tick: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ):
        self._places = places
        self._queue_limit = queue
        self._timeout = timeout
        self._tick = tick
        self._clock = clock
        self._wait = wait
        self._left = threading.Condition()  # guards what follows, and tells that a request has left
        self._running: set[_Request] = set()
        self._queues: dict[_QueueName, deque[_Request]] = {}  # the first caller is next
        self._returning: deque[_Request] = deque()  # places of running requests, asked back
        self._durations: deque[float] = deque(maxlen=RECENT)

    def load(self) -> dict[str, int]:
        """Return the numbers of `running` turns, of `waiting` requests, and of `places`."""
        with self._left:
            running, waiting = _turns(self._running), len(self._waiting())
        return {"running": running, "waiting": waiting, "places": self._places}

    def requests(self) -> list[Admitted]:
        """Return the requests that run, those that have run longest first, and those that wait."""
        now = self._clock()
        with self._left:
            running = sorted(self._running, key=lambda request: request.since)
            waiting = sorted(self._waiting(), key=lambda request: request.entered)
        return [_admitted(request, now, runs=True) for request in running] + [
            _admitted(request, now, runs=False) for request in waiting
        ]

    def stop(self, number: int, by: Principal) -> bool:
        """Stop the request of this number for *by*, and say whether there is one.

        Callers may stop their own, and admins all. One that runs ends once its turn's watchdog
        asks the permit.
        """
        with self._left:
            request = self._numbered(number)
            if request is None or not (by.admin or request.principal.name == by.name):
                return False
            error = TurnStopped(f"{by.name} has stopped this turn in the console.", retry=False)
            if request in self._running:
                request.stopped = error
            else:
                self._refuse(request, error)
        return True

    def _numbered(self, number: int) -> _Request | None:
        known = (*self._running, *self._waiting())
        return next((request for request in known if request.number == number), None)

    def busy(self) -> bool:
        """Say whether any request has places or waits for them."""
        with self._left:
            return bool(self._running or self._queues)

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait at most *seconds* until no request has places or waits for them; return if so.

        New requests are still admitted meanwhile.
        """
        with self._left:
            return self._left.wait_for(lambda: not (self._running or self._queues), seconds)

    def admit(
        self,
        turns: int,
        principal: Principal = LOCAL,
        check: Callable[[], None] = lambda: None,
        request_id: str = "",
        *,
        user: EndUser | None = None,
        background: bool = False,
    ) -> Permit:
        """Take *turns* places, and return the permit that releases them when it is called.

        A *user* below the principal's key has a limit of their own.
        While the request waits, *check* is called; what it raises ends the wait. Raises RateLimited
        when too many requests wait or the wait takes too long, and InvalidRequest for more places
        than there are.
        """
        if turns > self._places:
            raise _too_many(turns, self._places)
        request = _Request(turns, principal, self._clock(), request_id, background, user)
        try:
            with self._left:
                self._enter(request)
            self._await(request, check)
        except BaseException:
            self._leave(request)
            raise
        return Permit(self, request)

    def _give_back(self, request: _Request) -> None:
        """Release one place of a running request."""
        with self._left:
            request.turns -= 1
            self._serve()

    def _take_again(self, request: _Request, taken: Callable[[], None]) -> Callable[[], None]:
        """Take one place again, and call *taken* then. Return a function that stops waiting."""

        def take() -> None:
            self._running.discard(place)
            request.turns += 1
            taken()

        place = _Request(1, request.principal, self._clock(), user=request.user, admitted=take)
        with self._left:
            self._returning.append(place)
            self._serve()
        return lambda: self._stop_returning(place)

    def _stop_returning(self, place: _Request) -> None:
        with self._left:
            if place in self._returning:
                self._returning.remove(place)

    def _await(self, request: _Request, check: Callable[[], None]) -> None:
        until = math.inf if request.background else self._clock() + self._timeout
        waited = not request.decided.is_set()
        while not request.decided.is_set():
            check()
            if (left := until - self._clock()) > 0:
                self._wait(request.decided, min(self._tick, left))
            else:
                self._expire(request)
        if request.refusal:
            raise request.refusal
        if waited:
            check()

    def _enter(self, request: _Request) -> None:
        self._queues.setdefault(request.queue, deque()).append(request)
        self._serve()
        if len(self._waiting(background=False)) > self._queue_limit:
            why = f", and {self._queue_limit} requests wait already (MAX_QUEUE)"
            surplus = self._surplus(request.principal.name)
            self._refuse(surplus, self._refusal(surplus, why if self._queue_limit else ""))

    def _surplus(self, caller: str) -> _Request:
        """Return the request to refuse: the last one of the caller with the longest queue.

        That may be the new one of *caller*. Of a key's users it is the last one of who has most
        requests in it. So nobody can keep others out of the queue.
        """
        queues = {name: queue for (later, name), queue in self._queues.items() if not later}
        queue = queues[max(queues, key=lambda name: (len(queues[name]), name == caller))]
        waiting = Counter(request.user_id for request in queue)
        return max(enumerate(queue), key=lambda each: (waiting[each[1].user_id], each[0]))[1]

    def _expire(self, request: _Request) -> None:
        with self._left:
            if not request.decided.is_set():
                why = f", also after {self._timeout:g} s (QUEUE_TIMEOUT)"
                self._refuse(request, self._refusal(request, why))

    def _refuse(self, request: _Request, refusal: ApiError) -> None:
        request.refusal = refusal
        self._drop(request)
        request.decided.set()

    def _leave(self, request: _Request) -> None:
        """Release the request's places, or take it out of the queue, if it has either."""
        with self._left:
            if request in self._running:
                self._running.remove(request)
                self._durations.append(self._clock() - request.since)
            else:
                self._drop(request)
            self._serve()
            self._left.notify_all()

    def _drop(self, request: _Request) -> None:
        if request in (queue := self._queues.get(request.queue, deque())):
            queue.remove(request)
            if not queue:
                del self._queues[request.queue]

    def _serve(self) -> None:
        """Admit the next requests while there are places for them."""
        while (request := self._next()) and request.turns <= self._free_for(request):
            self._dequeue(request)
            request.since = self._clock()
            self._running.add(request)
            request.admitted()
            request.decided.set()

    def _dequeue(self, request: _Request) -> None:
        if request in self._returning:
            self._returning.remove(request)
            return
        queue = self._queues.pop(request.queue)
        queue.remove(request)
        if queue:
            self._queues[request.queue] = queue  # behind all others

    def _next(self) -> _Request | None:
        """Return the next request of a caller that may run more turns now."""
        first, later = (
            [self._head(queue) for name, queue in self._queues.items() if name[0] is background]
            for background in (False, True)
        )
        heads = filter(None, (*self._returning, *first, *later))
        return next((request for request in heads if self._may_run(request)), None)

    def _head(self, queue: deque[_Request]) -> _Request | None:
        """Return the first request of *queue* whose user may run more turns now."""
        full: set[str] = set()
        for request in queue:
            if request.user_id not in full and self._user_may_run(request):
                return request
            full.add(request.user_id)
        return None

    def _may_run(self, request: _Request) -> bool:
        principal = request.principal
        if not self._user_may_run(request):
            return False
        limit = principal.concurrent_turns
        return limit is None or self._running_of(principal) + request.turns <= limit

    def _user_may_run(self, request: _Request) -> bool:
        user = request.user
        if user is None or user.concurrent_turns is None:
            return True
        return self._running_of(user) + request.turns <= user.concurrent_turns

    def _running_of(self, holder: LimitHolder) -> int:
        """Return how many turns of a key run, or of a user below it."""
        return _turns(
            request
            for request in self._running
            if request.principal.name == holder.name and holder.user in ("", request.user_id)
        )

    def _free_for(self, request: _Request) -> int:
        """Return how many places are free for the request, which may have all if none is used."""
        spare = 1 if request.background and request.turns < self._places else 0
        return self._places - spare - _turns(self._running)

    def _waiting(self, *, background: bool = True) -> list[_Request]:
        """Return the requests that wait, those in the *background* only if it says so."""
        return [
            request
            for (later, _), queue in self._queues.items()
            for request in queue
            if background or not later
        ]

    def _refusal(self, request: _Request, why: str) -> RateLimited:
        turns, places = request.turns, self._places
        whose = "this gateway runs at once (MAX_CONCURRENT_TURNS)"
        waiting = self._waiting(background=False)
        if not self._may_run(request):
            holder = self._full_holder(request)
            places = holder.concurrent_turns or 1
            whose = f"{holder.label} may run at once ({holder.prefix}concurrent_turns)"
            queue = self._queues.get(request.queue, ())
            waiting = [other for other in queue if holder.user in ("", other.user_id)]
        before = _turns(other for other in waiting if other is not request)
        seconds = math.ceil((before + turns) * self._usual_duration() / places)
        seconds = min(max(1, seconds), LONGEST_RETRY)
        few = f", or too few are free for {turns}" if turns > 1 else ""
        again = f"{seconds} s" if seconds > 1 else "a second"
        return RateLimited(
            f"All {places} turns that {whose} are taken{few}{why}; try again in {again}.",
            retry_after=seconds,
        )

    def _full_holder(self, request: _Request) -> LimitHolder:
        """Return whose limit the request waits for, if it is not that of the gateway."""
        if request.user and not self._user_may_run(request):
            return request.user
        return request.principal

    def _usual_duration(self) -> float:
        """Return the mean duration of the last turns, or at first of the running ones so far."""
        now = self._clock()
        durations = self._durations or [now - request.since for request in self._running]
        return sum(durations) / len(durations) if durations else 0.0


def _admitted(request: _Request, now: float, *, runs: bool) -> Admitted:
    began = request.since if runs else request.entered
    return Admitted(
        request.number,
        request.request_id,
        request.principal.name,
        request.turns,
        runs,
        now - began,
        request.activity(),
        request.stopped is not None,
    )


class Permit:
    """The places of a request. Calling it releases them; doing so twice is harmless."""

    def __init__(self, admission: Admission, request: _Request):
        self._admission = admission
        self._request = request

    def __call__(self) -> None:
        self._admission._leave(self._request)

    def describe(self, activity: Callable[[], str]) -> None:
        """Let *activity* say what the request does; it is called in any thread."""
        self._request.activity = activity

    def check(self) -> None:
        """Raise TurnStopped if somebody has stopped the request."""
        if self._request.stopped:
            raise self._request.stopped

    def give_back(self) -> None:
        """Release one of the places for now. The request still counts as one that runs."""
        self._admission._give_back(self._request)

    def take_again(self, taken: Callable[[], None]) -> Callable[[], None]:
        """Wait in the background for a place in return, and call *taken*, in any thread, then.

        Returns a function that stops the wait.
        """
        return self._admission._take_again(self._request, taken)


def _turns(requests: Iterable[_Request]) -> int:
    return sum(request.turns for request in requests)


def _too_many(turns: int, places: int) -> InvalidRequest:
    return InvalidRequest(
        f"n: {turns} answers were asked for, each a turn of its own, and this gateway runs no more "
        f"than {places} turns at once (MAX_CONCURRENT_TURNS); ask for fewer, in several requests.",
        param="n",
        code="invalid_value",
    )
