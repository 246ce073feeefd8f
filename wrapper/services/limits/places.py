"""The places for turns: which requests have them, and which one is next."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from wrapper.services.limits.place_request import PlaceRequest, total_turns
from wrapper.services.limits.waiting import Waiting
from wrapper.services.principal import Caller, LimitHolder

# The number of finished turns that tell how long a turn takes.
RECENT = 50


class Places:
    """So many places in *total*, and the requests that have them or wait for them.

    *kept* returns how many processes are kept for clients, which the background must not displace.
    `left` guards all of them, and tells that a request has left. Only `leave`, `give_back`,
    `make_way`, `take_again` and `reconsider` acquire it; callers of the other methods hold it.
    """

    def __init__(self, total: int, clock: Callable[[], float], kept: Callable[[], int]):
        self.total = total
        self._kept = kept
        self.left = threading.Condition()
        self.running: set[PlaceRequest] = set()
        self.waiting = Waiting()
        self._clock = clock
        self._durations: deque[float] = deque(maxlen=RECENT)

    def busy(self) -> bool:
        """Say whether any request has places or waits for them."""
        return bool(self.running or self.waiting)

    def leave(self, request: PlaceRequest) -> None:
        """Release the request's places, or take it out of the queue, if it has either."""
        with self.left:
            if request in self.running:
                self.running.remove(request)
                self._durations.append(self._clock() - request.since)
            else:
                self.waiting.drop(request)
            self.serve()
            self.left.notify_all()

    def give_back(self, request: PlaceRequest) -> None:
        """Release one place of a running request."""
        with self.left:
            request.turns -= 1
            self.serve()

    def make_way(self, request: PlaceRequest) -> bool:
        """Release one place of a running request if others ask for one back; say whether it did."""
        with self.left:
            if not self.waiting.has_returning():
                return False
            request.turns -= 1
            self.serve()
            return True

    def take_again(self, request: PlaceRequest, taken: Callable[[], None]) -> Callable[[], None]:
        """Take one place again, and call *taken* then. Return a function that stops waiting."""

        def take() -> None:
            self.running.discard(place)
            request.turns += 1
            taken()

        caller = Caller(request.caller.principal, user=request.caller.user)
        place = PlaceRequest(1, caller, self._clock(), admitted=take)
        with self.left:
            self.waiting.add_returning(place)
            self.serve()
        return lambda: self._stop_returning(place)

    def _stop_returning(self, place: PlaceRequest) -> None:
        with self.left:
            self.waiting.drop_returning(place)

    def reconsider(self) -> None:
        """Admit requests for which processes made room that are no longer kept."""
        with self.left:
            self.serve()

    def serve(self) -> None:
        """Admit the next requests while there are places for them."""
        while (
            request := self.waiting.next(self.may_run, self._user_may_run)
        ) and request.turns <= self._free_for(request):
            self.waiting.take(request)
            request.since = self._clock()
            self.running.add(request)
            request.admitted()
            request.decided.set()

    def may_run(self, request: PlaceRequest) -> bool:
        """Say whether the limits of the request's key and user leave room for its turns."""
        return self._user_may_run(request) and self._has_room(request.caller.principal, request)

    def _user_may_run(self, request: PlaceRequest) -> bool:
        user = request.caller.user
        return user is None or self._has_room(user, request)

    def _has_room(self, holder: LimitHolder, request: PlaceRequest) -> bool:
        limit = holder.concurrent_turns
        if limit is None:
            return True
        running = total_turns(other for other in self.running if other.is_of(holder))
        return running + request.turns <= limit

    def full_holder(self, request: PlaceRequest) -> LimitHolder | None:
        """Return whose limit the request waits for, or None if it is that of the gateway."""
        if self.may_run(request):
            return None
        user = request.caller.user
        return user if user and not self._user_may_run(request) else request.caller.principal

    def _free_for(self, request: PlaceRequest) -> int:
        """Return how many places are free for the request, which may have all if none is used."""
        most = self.total
        if request.caller.background:
            most = max(request.turns, most - 1 - self._kept())
        return most - total_turns(self.running)

    def usual_duration(self) -> float:
        """Return the mean duration of the last turns, or at first of the running ones so far."""
        now = self._clock()
        durations = self._durations or [now - request.since for request in self.running]
        return sum(durations) / len(durations) if durations else 0.0
