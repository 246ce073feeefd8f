"""The refusals of requests for which there are too few places."""

from __future__ import annotations

import math

from wrapper.errors import InvalidRequest, RateLimited
from wrapper.services.limits.place_request import PlaceRequest, total_turns
from wrapper.services.limits.places import Places

# OpenAI's libraries ignore a longer Retry-After.
LONGEST_RETRY = 60


def all_taken(request: PlaceRequest, places: Places, why: str) -> RateLimited:
    """Return the refusal of a request that would wait for *places* too long. *why* ends it."""
    total = places.total
    whose = "this gateway runs at once (MAX_CONCURRENT_TURNS)"
    waiting = places.waiting.requests(background=False)
    if holder := places.full_holder(request):
        total = holder.concurrent_turns or 1
        whose = f"{holder.label} may run at once ({holder.prefix}concurrent_turns)"
        waiting = [other for other in places.waiting.beside(request) if other.is_of(holder)]
    turns = request.turns
    before = total_turns(other for other in waiting if other is not request)
    seconds = math.ceil((before + turns) * places.usual_duration() / total)
    seconds = min(max(1, seconds), LONGEST_RETRY)
    few = f", or too few are free for {turns}" if turns > 1 else ""
    again = f"{seconds} s" if seconds > 1 else "a second"
    return RateLimited(
        f"All {total} turns that {whose} are taken{few}{why}; try again in {again}.",
        retry_after=seconds,
    )


def too_many(turns: int, places: int) -> InvalidRequest:
    """Return the refusal of a request for more *turns* than there are *places*."""
    return InvalidRequest(
        f"n: {turns} answers were asked for, each a turn of its own, and this gateway runs no more "
        f"than {places} turns at once (MAX_CONCURRENT_TURNS); ask for fewer, in several requests.",
        param="n",
        code="invalid_value",
    )
