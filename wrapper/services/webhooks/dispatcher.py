"""The dispatcher: stores the deliveries that were announced, and attempts those that are due."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from wrapper.services.store_health import StoreFailed
from wrapper.services.webhooks.attempt import (
    GIVE_UP_SECONDS,
    NO_ENDPOINT,
    Result,
    concluded,
    given_up,
)
from wrapper.services.webhooks.endpoint import Endpoint, Endpoints
from wrapper.services.webhooks.event import Delivery
from wrapper.services.webhooks.store import KEEP_SECONDS, DeliveryStore

MAX_WAITING = 10_000
BATCH = 100
# Attempts at once, so that a slow host delays no other.
MOST_OF_HOST, MOST_AT_ONCE = 4, 64
# Longer than an attempt may take. Then another worker takes over.
LEASE_SECONDS = 30.0
# How often the store is asked for what other workers have left.
POLL_SECONDS = 5.0
RETRY_SECONDS = 2.0
# How long running attempts may take at shutdown.
CLOSE_SECONDS = 3.0

Post = Callable[[Endpoint, Delivery], Awaitable[Result]]
Count = Callable[[str, str], None]
Stored = Callable[[], None]
T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Environment:
    """What a dispatcher gets from outside: time, chance, and what sends and counts."""

    post: Post
    count: Count = lambda type_, outcome: None
    clock: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random


class Dispatcher:
    """Keeps deliveries in *store* and attempts them. Only `add` may be called in other threads.

    `woken` is set when an attempt has ended. `failure` says why the store failed last.
    """

    def __init__(self, store: DeliveryStore, endpoints: Endpoints, environment: Environment):
        self._store = store
        self._endpoints = endpoints
        self._environment = environment
        self._waiting: dict[str, tuple[Delivery, Stored | None]] = {}  # by id
        self._ended: deque[Delivery] = deque()
        self._running: dict[asyncio.Task[None], str] = {}  # with the host of each attempt
        self.woken = asyncio.Event()
        self.failure = ""

    @property
    def waiting(self) -> int:
        """Return how many deliveries are not stored yet."""
        return len(self._waiting)

    def add(self, deliveries: Sequence[Delivery], stored: Stored | None = None) -> None:
        """Take deliveries that were announced, and call *stored* once the store has all of them.

        Too many are dropped, with a warning unless whoever waits for *stored* announces them again.
        """
        for delivery in deliveries:
            if len(self._waiting) < MAX_WAITING:
                of_last = stored if delivery is deliveries[-1] else None
                self._waiting.setdefault(delivery.id, (delivery, of_last))
            elif stored is None:
                self._environment.count(delivery.type, "dropped")
                log.warning("the webhook %s is dropped: too many wait to be stored", delivery.id)

    def step(self) -> float:
        """Do what there is to do. Return after how many seconds there may be more."""
        try:
            self._write()
            seconds = self._begin_due()
        except StoreFailed as error:
            if error.message != self.failure:
                log.error("webhooks wait: %s", error.details)
            self.failure = error.message
            return RETRY_SECONDS
        self.failure = ""
        return seconds

    async def end(self) -> None:
        """Stop: wait a moment for running attempts, and store what is left."""
        if running := [*self._running]:
            _, late = await asyncio.wait(running, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.wait(running)
        try:
            self._write()
        except StoreFailed as error:
            log.error("%d webhooks are lost: %s", len(self._waiting), error.details)

    def _write(self) -> None:
        """Store what was announced and what has ended."""
        now = self._environment.clock()
        while self._waiting:
            batch = [*self._waiting.copy().values()][:BATCH]  # threads add to it
            self._store.add([delivery for delivery, _ in batch], now - KEEP_SECONDS)
            for delivery, stored in batch:
                del self._waiting[delivery.id]
                if stored:
                    stored()
        while self._ended:
            self._store.record(self._ended[0])
            self._ended.popleft()

    def _begin_due(self) -> float:
        now = self._environment.clock()
        due = self._store.due()
        for recipient in sorted(due, key=lambda name: due[name]):
            if due[recipient] <= now:
                self._begin(recipient, now)
        later = [at - now for at in due.values() if at > now]
        return min([POLL_SECONDS, *later])

    def _begin(self, recipient: str, now: float) -> None:
        """Begin attempts for *recipient*, as many as its host may have."""
        endpoint = self._endpoints.of(recipient)
        if endpoint is None:
            self._give_up(recipient, now)
            return
        host, hosts = endpoint.host, Counter(self._running.values())
        limit = min(MOST_OF_HOST - hosts[host], MOST_AT_ONCE - hosts.total())
        if limit <= 0:
            return
        for delivery in self._store.claim(recipient, now, now + LEASE_SECONDS, limit):
            task = asyncio.create_task(self._attempt(endpoint, delivery))
            self._running[task] = host
            task.add_done_callback(self._forget)

    def _give_up(self, recipient: str, now: float) -> None:
        """Give up what has long been due. Until then, another gateway may know the endpoint."""
        overdue = now - GIVE_UP_SECONDS
        for delivery in self._store.claim(recipient, overdue, now + LEASE_SECONDS, BATCH):
            self._end(given_up(delivery, NO_ENDPOINT))
            self.woken.set()

    async def _attempt(self, endpoint: Endpoint, delivery: Delivery) -> None:
        environment = self._environment
        try:
            result = await environment.post(endpoint, delivery)
        except asyncio.CancelledError:  # at shutdown; another worker may begin at once
            self._ended.append(replace(delivery, due=environment.clock()))
            return
        except Exception as error:
            log.exception("the webhook %s cannot be sent", delivery.id)
            result = Result(error=f"the gateway failed ({type(error).__name__})")
        self._end(concluded(delivery, result, environment.clock(), environment.chance))

    def _end(self, delivery: Delivery) -> None:
        outcome = "retried" if delivery.status == "pending" else delivery.status
        level = logging.WARNING if outcome == "failed" else logging.INFO
        why = f": {delivery.last_error}" if delivery.last_error else ""
        facts = (delivery.id, delivery.type, delivery.recipient, outcome, delivery.attempts, why)
        log.log(level, "webhook %s (%s) for %s: %s after %d attempts%s", *facts)
        self._environment.count(delivery.type, outcome)
        self._ended.append(delivery)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self.woken.set()
