"""The requests that wait for places, in order by caller and user."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator

from wrapper.services.limits.place_request import PlaceRequest, QueueName

MayRun = Callable[[PlaceRequest], bool]


class Waiting:
    """The requests that wait, and the places that running requests ask back.

    It is not thread-safe.
    """

    def __init__(self) -> None:
        self._queues: dict[QueueName, deque[PlaceRequest]] = {}  # the first caller is next
        self._returning: deque[PlaceRequest] = deque()  # places of running requests, asked back

    def __bool__(self) -> bool:
        """Say whether any request waits that does not run already."""
        return bool(self._queues)

    def requests(self, *, background: bool = True) -> list[PlaceRequest]:
        """Return the requests that wait, those in the *background* only if it says so."""
        return [
            request
            for (later, _), queue in self._queues.items()
            for request in queue
            if background or not later
        ]

    def beside(self, request: PlaceRequest) -> list[PlaceRequest]:
        """Return the requests that wait in the queue of *request*."""
        return list(self._queues.get(request.queue, ()))

    def add(self, request: PlaceRequest) -> None:
        self._queues.setdefault(request.queue, deque()).append(request)

    def add_returning(self, place: PlaceRequest) -> None:
        self._returning.append(place)

    def has_returning(self) -> bool:
        """Say whether any running request asks for a place back."""
        return bool(self._returning)

    def drop_returning(self, place: PlaceRequest) -> None:
        if place in self._returning:
            self._returning.remove(place)

    def drop(self, request: PlaceRequest) -> None:
        """Remove the request if it waits; its caller keeps the turn in the order."""
        if request in (queue := self._queues.get(request.queue, deque())):
            queue.remove(request)
            if not queue:
                del self._queues[request.queue]

    def take(self, request: PlaceRequest) -> None:
        """Remove a request that gets its places, and let all other callers come before its own."""
        if request in self._returning:
            self._returning.remove(request)
            return
        queue = self._queues.pop(request.queue)
        queue.remove(request)
        if queue:
            self._queues[request.queue] = queue

    def next(self, may_run: MayRun, user_may_run: MayRun) -> PlaceRequest | None:
        """Return the next request of a caller that may run more turns now."""
        if not (self._queues or self._returning):
            return None
        return next((request for request in self._heads(user_may_run) if may_run(request)), None)

    def _heads(self, user_may_run: MayRun) -> Iterator[PlaceRequest]:
        yield from self._returning
        for background in (False, True):
            for (later, _), queue in self._queues.items():
                if later is background and (request := _head(queue, user_may_run)):
                    yield request

    def surplus(self, caller: str) -> PlaceRequest:
        """Return the request to refuse: the last one of the caller with the longest queue.

        That may be the new one of *caller*. Of a key's users it is the last one of who has most
        requests in it. So nobody can keep others out of the queue.
        """
        queues = {name: queue for (later, name), queue in self._queues.items() if not later}
        queue = queues[max(queues, key=lambda name: (len(queues[name]), name == caller))]
        waiting = Counter(request.user_id for request in queue)
        return max(enumerate(queue), key=lambda each: (waiting[each[1].user_id], each[0]))[1]


def _head(queue: deque[PlaceRequest], user_may_run: MayRun) -> PlaceRequest | None:
    """Return the first request of *queue* whose user may run more turns now."""
    full: set[str] = set()
    for request in queue:
        if request.user_id not in full and user_may_run(request):
            return request
        full.add(request.user_id)
    return None
