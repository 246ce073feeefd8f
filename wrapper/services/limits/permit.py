"""The permit of a request to run its turns."""

from __future__ import annotations

from collections.abc import Callable

from wrapper.services.limits.place_request import PlaceRequest
from wrapper.services.limits.places import Places


class Permit:
    """The places of a request. Calling it releases them; doing so twice is harmless."""

    def __init__(self, places: Places, request: PlaceRequest):
        self._places = places
        self._request = request

    def __call__(self) -> None:
        self._places.leave(self._request)

    def describe(self, activity: Callable[[], str]) -> None:
        """Let *activity* say what the request does; it is called in any thread."""
        self._request.activity = activity

    def check(self) -> None:
        """Raise TurnStopped if somebody has stopped the request."""
        if self._request.stopped:
            raise self._request.stopped

    def give_back(self) -> None:
        """Release one of the places for now. The request still counts as one that runs."""
        self._places.give_back(self._request)

    def make_way(self) -> bool:
        """Release one of the places for now if a turn that has begun asks for one back.

        Returns whether it did.
        """
        return self._places.make_way(self._request)

    def take_again(self, taken: Callable[[], None]) -> Callable[[], None]:
        """Wait in the background for a place in return, and call *taken*, in any thread, then.

        Returns a function that stops the wait.
        """
        return self._places.take_again(self._request, taken)
