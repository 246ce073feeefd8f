"""The worker service: shows what all workers do, and stops turns of any of them."""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import replace

from wrapper.errors import Unavailable
from wrapper.json_text import Json
from wrapper.logs.redaction import Redacted
from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.limits.admission import Admission
from wrapper.services.principal import Principal
from wrapper.services.resources import machine_state
from wrapper.services.store_health import StoreFailed, raising_unavailable
from wrapper.services.workers.redis_store import RedisWorkerStore
from wrapper.services.workers.sqlite_store import SqliteWorkerStore
from wrapper.services.workers.state import WorkerState, decode, encode
from wrapper.services.workers.store import Stop, WorkerStore
from wrapper.settings import Settings

# How often a worker asks the store what it is to do.
SECONDS = 1.0
# How often the store is told that somebody looks; well within its LIFE.
WANT_SECONDS = 3.0

log = logging.getLogger(__name__)


class Workers:
    """The workers that share *store*, with this one's *admission* and *health*.

    A worker writes its state only while somebody looks at the states. One that *is_alone* neither
    reads nor writes the store. `failure` says why the store could not be used last; anyone may see
    it.
    """

    def __init__(
        self,
        store: WorkerStore,
        admission: Admission,
        health: Callable[[], Json],
        lifecycle: Lifecycle,
        *,
        most_waiting: int,
        is_alone: Callable[[], bool],
    ):
        self._store = store
        self._admission = admission
        self._health = health
        self._lifecycle = lifecycle
        self._most_waiting = most_waiting
        self._is_alone = is_alone
        self._task = PeriodicTask(self.follow_orders, SECONDS)
        self._id = ""
        self._wanted = 0.0
        self.failure = ""

    @property
    def id(self) -> str:
        """Return this worker's id. It is made on first use, as the server may fork until then."""
        self._id = self._id or uuid.uuid4().hex
        return self._id

    def start(self) -> None:
        """Begin to follow orders of other workers, unless this one is alone."""
        if not self._is_alone():
            self._task.start()

    def follow_orders(self) -> None:
        """Stop the turns that are to be stopped, and show this worker's state if it is wanted."""
        try:
            orders = self._store.take_orders(self.id)
            for stop in orders.stops:
                self._admission.stop(stop.number, Principal(stop.by, admin=stop.admin))
            if orders.is_wanted:
                self._store.put(self.id, encode(self._state()))
        except StoreFailed as error:
            self._note(error)
        else:
            self.failure = ""

    def states(self) -> list[WorkerState]:
        """Return the states of all workers, this one's first.

        Others appear within a moment after somebody has begun to look. Where the store fails there
        is this one's alone.
        """
        own = self._state()
        if self._is_alone():
            return [own]
        try:
            stops = self._store.stops()
            others = sorted(self._others(), key=lambda state: (state.host, state.pid))
        except StoreFailed as error:
            self._note(error)
            return [own]
        self.failure = ""
        return [own, *(_with_stops(state, stops) for state in others)]

    def stop(self, worker: str, number: int, by: Principal) -> bool:
        """Stop a request of a *worker* for *by*, as `Admission.stop` does, and say if there is one.

        Another worker stops it within a moment. Raises Unavailable.
        """
        if worker == self.id:
            return self._admission.stop(number, by)
        if self._is_alone():
            return False
        with raising_unavailable("The other workers cannot be reached."):
            known = any(_may_stop(state, worker, number, by) for state in self._others())
            if known:
                self._store.stop(Stop(worker, number, by.name, by.admin))
        return known

    def stop_all(self, owner: str, by: Principal) -> int:
        """Stop all requests of *owner* for the admin *by*, and return how many are left by now.

        Raises Unavailable if other workers cannot be reached.
        """
        states = self.states()
        if self.failure:
            raise Unavailable(f"The other workers cannot be reached. {self.failure}")
        running = [
            (state.id, each) for state in states for each in state.requests if each.owner == owner
        ]
        for worker, request in running:
            if not request.stopped:
                self.stop(worker, request.number, by)
        return len(running)

    def close(self) -> None:
        self._task.close()
        if self._id and not self._is_alone():
            with suppress(StoreFailed):  # it expires soon
                self._store.remove(self.id)
        self._store.close()

    def _others(self) -> Iterator[WorkerState]:
        """Yield the other workers' states, and let them know that somebody looks."""
        now = time.monotonic()
        if now - self._wanted >= WANT_SECONDS:
            self._store.want()
            self._wanted = now
        for text in self._store.states():
            try:
                state = decode(text)
            except ValueError as error:  # another version of the gateway has written it
                log.debug("a worker's state cannot be read: %s", Redacted(error))
                continue
            if state.id != self.id:
                yield state

    def _note(self, error: StoreFailed) -> None:
        """Note why the store cannot be used, and log each new reason."""
        if error.message != self.failure:
            log.warning("workers cannot show each other what they do: %s", error.details)
        self.failure = error.message

    def _state(self) -> WorkerState:
        return WorkerState(
            self.id,
            socket.gethostname(),
            os.getpid(),
            self._lifecycle.drains(),
            self._most_waiting,
            self._health(),
            machine_state(),
            tuple(self._admission.requests()),
            self._lifecycle.serves,
        )


def open_workers(
    settings: Settings, admission: Admission, health: Callable[[], Json], lifecycle: Lifecycle
) -> Workers:
    """Return the service. Its store is a Redis of *settings* if there is one, else USAGE_DB.

    That file is used only where the server has several workers.
    """
    store: WorkerStore = SqliteWorkerStore(settings.usage_db)
    has_redis = False
    for name in ("session_store", "redis_url"):
        if "://" in (url := getattr(settings, name)):
            store, has_redis = RedisWorkerStore(url, name.upper()), True
    return Workers(
        store,
        admission,
        health,
        lifecycle,
        most_waiting=settings.max_queue,
        is_alone=lambda: not has_redis and lifecycle.workers == 1,
    )


def _may_stop(state: WorkerState, worker: str, number: int, by: Principal) -> bool:
    return state.id == worker and any(
        each.number == number and (by.admin or each.owner == by.name) for each in state.requests
    )


def _with_stops(state: WorkerState, stops: Collection[Stop]) -> WorkerState:
    """Return *state*, whose requests that are to be stopped say so."""
    numbers = {stop.number for stop in stops if stop.worker == state.id}
    requests = (
        replace(each, stopped=each.stopped or each.number in numbers) for each in state.requests
    )
    return replace(state, requests=tuple(requests))
