"""The Redis store: finished requests in a stream that several gateways share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from wrapper.services.redis_client import RedisClient, in_chunks
from wrapper.services.requests.request import DONE, FinishedRequest, Latency, RequestQuery
from wrapper.services.requests.store import MAX_REQUESTS
from wrapper.services.usage.store import Amounts, total

if TYPE_CHECKING:
    from redis import Redis

STREAM = "claude-code-gateway:requests"
FIELD = "request"
# Requests that are read at once.
CHUNK = 500
# Before and after all days.
EVER = ("", "~")


class RedisRequestStore:
    """A RequestStore in the Redis at *url*. Positions are the ids of the stream's entries."""

    def __init__(self, url: str, most: int = MAX_REQUESTS):
        self._redis = RedisClient(url, "REDIS_URL")
        self._most = most

    def append(self, requests: Sequence[FinishedRequest], oldest: float) -> None:
        with self._redis.reached() as client:
            pipeline = client.pipeline()
            for request in requests:
                pipeline.xadd(STREAM, {FIELD: _encode(request)})
            pipeline.xtrim(STREAM, maxlen=self._most, approximate=False)
            pipeline.xtrim(STREAM, minid=str(round(oldest * 1000)), approximate=False)
            pipeline.execute()

    def find(self, query: RequestQuery, before: str, limit: int) -> list[FinishedRequest]:
        with self._redis.reached() as client:
            return list(islice(_matching(client, query, before), limit))

    def total(self, query: RequestQuery) -> tuple[int, Amounts]:
        with self._redis.reached() as client:
            amounts = [request.amounts for request in _matching(client, query)]
        return len(amounts), total(amounts)

    def latencies(self, query: RequestQuery) -> list[Latency]:
        with self._redis.reached() as client:
            requests = [each for each in _matching(client, query) if each.outcome == DONE]
        return [
            Latency(each.day, each.model, each.details["first_token_ms"], each.details["total_ms"])
            for each in requests
            if "first_token_ms" in each.details
        ]

    def delete_all(self, key: str) -> int:
        with self._redis.reached() as client:
            found = (request.position for request in _matching(client, RequestQuery(*EVER, key)))
            return sum(int(client.xdel(STREAM, *positions)) for positions in in_chunks(found))

    def close(self) -> None:
        self._redis.close()


def _matching(client: Redis, query: RequestQuery, before: str = "") -> Iterator[FinishedRequest]:
    """Yield the requests that match, the last one first."""
    while True:
        entries: Any = client.xrevrange(STREAM, f"({before}" if before else "+", "-", CHUNK)
        for position, fields in entries:
            request = _decode(fields[FIELD], position)
            if query.matches(request):
                yield request
        if len(entries) < CHUNK:
            return
        before = entries[-1][0]


def _encode(request: FinishedRequest) -> str:
    return json.dumps(
        [
            *(request.id, request.key, request.model, request.session, request.outcome),
            *(request.day, request.began, request.amounts.values(), request.details),
        ]
    )


def _decode(text: str, position: str) -> FinishedRequest:
    id_, key, model, session, outcome, day, began, amounts, details = json.loads(text)
    return FinishedRequest(
        *(id_, key, model, session, outcome, day, began),
        amounts=Amounts(*amounts),
        details=details,
        position=position,
    )
