"""Admission: how many turns may run at once, of all callers and of each, and who waits for that.

Callers take turns, and each one's requests come in their order. What the next one needs is kept
free until it has all of it, so that a request for many turns is not passed for ever by small ones.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from wrapper.errors import ApiError, InvalidRequest, RateLimited
from wrapper.services.principal import LOCAL, Principal

# So many of the last turns say how long a turn takes.
RECENT = 50
# OpenAI's libraries do not heed what is longer.
LONGEST_RETRY = 60


@dataclass(eq=False)
class _Request:
    turns: int
    principal: Principal
    decided: threading.Event = field(default_factory=threading.Event)
    since: float = 0.0  # when it was admitted
    refusal: ApiError | None = None


class Admission:
    """A number of *places* for turns, of which a request gets all that it needs or none.

    At most *queue* requests wait for them, for *patience* seconds. Each looks every *tick* seconds
    whether it should wait on. *wait* waits for an event, for some seconds at most.
    """

    def __init__(
        self,
        places: int,
        *,
        queue: int = 0,
        patience: float = 0.0,
        tick: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ):
        self._places = places
        self._most = queue
        self._patience = patience
        self._tick = tick
        self._clock = clock
        self._wait = wait
        self._lock = threading.Lock()
        self._left = threading.Condition(self._lock)
        self._running: set[_Request] = set()
        self._queues: dict[str, deque[_Request]] = {}  # by caller; the first one's turn is next
        self._lasted: deque[float] = deque(maxlen=RECENT)

    def load(self) -> dict[str, int]:
        """Return how many turns are `running`, of how many `places`, and who is `waiting`."""
        with self._lock:
            running, waiting = _turns(self._running), len(self._line())
        return {"running": running, "waiting": waiting, "places": self._places}

    def busy(self) -> bool:
        """Say whether anybody has a place, or waits for one."""
        with self._lock:
            return bool(self._running or self._queues)

    def rest(self, seconds: float) -> bool:
        """Wait until nobody has a place or waits for one, at most *seconds*; say whether it is so.

        Nobody is kept from coming meanwhile.
        """
        with self._left:
            return self._left.wait_for(lambda: not (self._running or self._queues), seconds)

    def admit(
        self,
        turns: int,
        principal: Principal = LOCAL,
        check: Callable[[], None] = lambda: None,
    ) -> Callable[[], None]:
        """Take *turns* places and return what gives them back; it may be called twice.

        While it waits *check* is called, which raises what ends the wait. Raises RateLimited when
        too many wait or it takes too long, and InvalidRequest when there never are as many places.
        """
        if turns > self._places:
            raise _too_many(turns, self._places)
        request = _Request(turns, principal)
        try:
            with self._lock:
                self._enter(request)
            self._await(request, check)
        except BaseException:
            self._leave(request)
            raise
        return lambda: self._leave(request)

    def _await(self, request: _Request, check: Callable[[], None]) -> None:
        until = self._clock() + self._patience
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
        caller = request.principal.name
        self._queues.setdefault(caller, deque()).append(request)
        self._serve()
        if len(self._line()) > self._most:
            why = f", and {self._most} requests wait already (MAX_QUEUE)"
            self._refuse(self._surplus(caller), why if self._most else "")

    def _surplus(self, caller: str) -> _Request:
        """Return who has to go: the last one of whom most wait, be it *caller*'s new one or not.

        So nobody can keep others out of the queue.
        """
        queues = self._queues
        return queues[max(queues, key=lambda name: (len(queues[name]), name == caller))][-1]

    def _expire(self, request: _Request) -> None:
        with self._lock:
            if not request.decided.is_set():
                self._refuse(request, f", also after {self._patience:g} s (QUEUE_TIMEOUT)")

    def _refuse(self, request: _Request, why: str) -> None:
        request.refusal = self._refusal(request, why)
        self._drop(request)
        request.decided.set()

    def _leave(self, request: _Request) -> None:
        """Give back the places, or the place in the queue, of a request that may have neither."""
        with self._lock:
            if request in self._running:
                self._running.remove(request)
                self._lasted.append(self._clock() - request.since)
            else:
                self._drop(request)
            self._serve()
            self._left.notify_all()

    def _drop(self, request: _Request) -> None:
        caller = request.principal.name
        if request in (queue := self._queues.get(caller, deque())):
            queue.remove(request)
            if not queue:
                del self._queues[caller]

    def _serve(self) -> None:
        """Admit who is next, as long as there is room."""
        while (request := self._next()) and request.turns <= self._free():
            caller = request.principal.name
            queue = self._queues.pop(caller)
            queue.popleft()
            if queue:
                self._queues[caller] = queue  # behind all others
            request.since = self._clock()
            self._running.add(request)
            request.decided.set()

    def _next(self) -> _Request | None:
        """Return the request that is next, leaving out callers that may not run more at present."""
        heads = (queue[0] for queue in self._queues.values())
        return next((request for request in heads if self._may_run(request)), None)

    def _may_run(self, request: _Request) -> bool:
        most = request.principal.concurrent_turns
        return most is None or self._of(request.principal) + request.turns <= most

    def _of(self, principal: Principal) -> int:
        return _turns(one for one in self._running if one.principal.name == principal.name)

    def _free(self) -> int:
        return self._places - _turns(self._running)

    def _line(self) -> list[_Request]:
        return [request for queue in self._queues.values() for request in queue]

    def _refusal(self, request: _Request, why: str) -> RateLimited:
        caller, turns, places = request.principal.name, request.turns, self._places
        whose, line = "this gateway runs at once (MAX_CONCURRENT_TURNS)", self._line()
        if not self._may_run(request):
            places = request.principal.concurrent_turns or 1
            whose = f"the key {caller!r} may run at once (concurrent_turns)"
            line = list(self._queues.get(caller, ()))
        before = _turns(one for one in line if one is not request)
        seconds = math.ceil((before + turns) * self._usual() / places)
        seconds = min(max(1, seconds), LONGEST_RETRY)
        few = f", or too few are free for {turns}" if turns > 1 else ""
        again = f"{seconds} s" if seconds > 1 else "a second"
        return RateLimited(
            f"All {places} turns that {whose} are taken{few}{why}; try again in {again}.",
            retry_after=seconds,
        )

    def _usual(self) -> float:
        """Return the seconds that turns last: the last ones, or else, until now, those that run."""
        now = self._clock()
        lasted = self._lasted or [now - request.since for request in self._running]
        return sum(lasted) / len(lasted) if lasted else 0.0


def _turns(requests: Iterable[_Request]) -> int:
    return sum(request.turns for request in requests)


def _too_many(turns: int, places: int) -> InvalidRequest:
    return InvalidRequest(
        f"n: {turns} answers were asked for, each a turn of its own, and this gateway runs no more "
        f"than {places} turns at once (MAX_CONCURRENT_TURNS); ask for fewer, in several requests.",
        param="n",
        code="invalid_value",
    )
