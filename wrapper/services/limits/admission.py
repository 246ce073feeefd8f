"""Admission: limits how many turns run at once, in all and by caller, and queues the others.

Callers take turns, and the requests of one caller keep their order, but for those of users who run
as many turns as their key allows each. The places that the next request needs stay free until it
has all of them, so that small requests do not overtake one for many turns for ever.

Requests for which nobody waits run in the background: only while no other request could use their
places, and never in the last free one, if there are several. They also leave a place to each
process that is kept for a session, as it would have to end if all places were used. They wait for
as long as it takes, and no other request is refused because of them.

A turn that waits for an approval gives its place back. Once it may go on it takes the next free
place, before those that have not begun.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from wrapper.errors import ApiError, TurnStopped
from wrapper.services.background.watchdog import CHECK_SECONDS
from wrapper.services.limits import refusals
from wrapper.services.limits.permit import Permit
from wrapper.services.limits.place_request import PlaceRequest, total_turns
from wrapper.services.limits.places import Places
from wrapper.services.principal import Caller, Principal
from wrapper.settings import Settings

__all__ = ["Admission", "Admitted", "Permit"]

LOCAL_CALLER = Caller()


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


class Admission:
    """Has *places* for turns. A request gets all the places that it needs, or none.

    At most *queue* requests wait for places, for *timeout* seconds. Each checks every *tick*
    seconds whether it should go on waiting. *kept* returns how many processes are kept for
    sessions. *wait* waits for an event, for some seconds at most.
    """

    def __init__(
        self,
        places: int,
        *,
        queue: int = 0,
        timeout: float = 0.0,
        tick: float = 1.0,
        kept: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ):
        self._places = Places(places, clock, kept)
        self._queue_limit = queue
        self._timeout = timeout
        self._tick = tick
        self._clock = clock
        self._wait = wait

    def load(self) -> dict[str, int]:
        """Return the numbers of `running` turns, of `waiting` requests, and of `places`."""
        places = self._places
        with places.left:
            running, waiting = total_turns(places.running), len(places.waiting.requests())
        return {"running": running, "waiting": waiting, "places": places.total}

    def requests(self) -> list[Admitted]:
        """Return the requests that run, those that have run longest first, and those that wait."""
        now = self._clock()
        with self._places.left:
            running = sorted(self._places.running, key=lambda request: request.since)
            waiting = sorted(self._places.waiting.requests(), key=lambda request: request.entered)
        return [_admitted(request, now, runs=True) for request in running] + [
            _admitted(request, now, runs=False) for request in waiting
        ]

    def stop(self, number: int, by: Principal) -> bool:
        """Stop the request of this number for *by*, and say whether there is one.

        Callers may stop their own, and admins all. One that runs ends once its turn's watchdog
        asks the permit.
        """
        with self._places.left:
            request = self._numbered(number)
            if request is None or not (by.admin or request.caller.principal.name == by.name):
                return False
            error = TurnStopped(f"{by.name} has stopped this turn.", retry=False)
            if request in self._places.running:
                request.stopped = error
            else:
                self._refuse(request, error)
        return True

    def _numbered(self, number: int) -> PlaceRequest | None:
        known = (*self._places.running, *self._places.waiting.requests())
        return next((request for request in known if request.number == number), None)

    def busy(self) -> bool:
        """Say whether any request has places or waits for them."""
        with self._places.left:
            return self._places.busy()

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait at most *seconds* until no request has places or waits for them; return if so.

        New requests are still admitted meanwhile.
        """
        with self._places.left:
            return self._places.left.wait_for(lambda: not self._places.busy(), seconds)

    def admit(
        self,
        turns: int,
        caller: Caller = LOCAL_CALLER,
        check: Callable[[], None] = lambda: None,
    ) -> Permit:
        """Take *turns* places for *caller*, and return the permit that releases them when called.

        While the request waits, *check* is called; what it raises ends the wait. Raises RateLimited
        when too many requests wait or the wait takes too long, and InvalidRequest for more places
        than there are.
        """
        if turns > self._places.total:
            raise refusals.too_many(turns, self._places.total)
        request = PlaceRequest(turns, caller, self._clock())
        try:
            with self._places.left:
                self._enter(request)
            self._await(request, check)
        except BaseException:
            self._places.leave(request)
            raise
        return Permit(self._places, request)

    def _await(self, request: PlaceRequest, check: Callable[[], None]) -> None:
        until = math.inf if request.caller.background else self._clock() + self._timeout
        waited = not request.decided.is_set()
        while not request.decided.is_set():
            check()
            if request.caller.background:
                self._places.reconsider()
            if (left := until - self._clock()) > 0:
                self._wait(request.decided, min(self._tick, left))
            else:
                self._expire(request)
        if request.refusal:
            raise request.refusal
        if waited:
            check()

    def _enter(self, request: PlaceRequest) -> None:
        self._places.waiting.add(request)
        self._places.serve()
        if request.decided.is_set():
            return
        if len(self._places.waiting.requests(background=False)) > self._queue_limit:
            why = f", and {self._queue_limit} requests wait already (MAX_QUEUE)"
            surplus = self._places.waiting.surplus(request.caller.principal.name)
            self._refuse(
                surplus, refusals.all_taken(surplus, self._places, why if self._queue_limit else "")
            )

    def _expire(self, request: PlaceRequest) -> None:
        with self._places.left:
            if not request.decided.is_set():
                why = f", also after {self._timeout:g} s (QUEUE_TIMEOUT)"
                self._refuse(request, refusals.all_taken(request, self._places, why))

    def _refuse(self, request: PlaceRequest, refusal: ApiError) -> None:
        request.refusal = refusal
        self._places.waiting.drop(request)
        request.decided.set()


def _admitted(request: PlaceRequest, now: float, *, runs: bool) -> Admitted:
    began = request.since if runs else request.entered
    return Admitted(
        request.number,
        request.caller.request_id,
        request.caller.principal.name,
        request.turns,
        runs,
        now - began,
        request.activity(),
        request.stopped is not None,
    )


def open_admission(settings: Settings, kept: Callable[[], int]) -> Admission:
    """Return the admission to the places that *settings* allow; see Admission for *kept*."""
    return Admission(
        settings.max_concurrent_turns,
        queue=settings.max_queue,
        timeout=settings.queue_timeout,
        tick=CHECK_SECONDS,
        kept=kept,
    )
