"""The service of webhooks: it announces events, and lists their deliveries."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from wrapper.errors import InvalidRequest
from wrapper.json_text import Json
from wrapper.services.principal import Principal
from wrapper.services.store_health import raising_unavailable
from wrapper.services.webhooks.dispatcher import Count, Dispatcher, Environment
from wrapper.services.webhooks.endpoint import Endpoints, Keys
from wrapper.services.webhooks.event import Delivery, new_delivery
from wrapper.services.webhooks.presenter import to_json
from wrapper.services.webhooks.redis_store import RedisDeliveryStore
from wrapper.services.webhooks.sqlite_store import SqliteDeliveryStore
from wrapper.services.webhooks.store import DeliveryStore
from wrapper.services.webhooks.thread import DispatcherThread
from wrapper.settings import Settings

log = logging.getLogger(__name__)


class Webhooks:
    """Announces events to *endpoints*. Threads may share it.

    A thread, which runs only if anybody gets events, stores them and delivers them, so that no
    request waits for that.
    """

    def __init__(
        self,
        store: DeliveryStore,
        endpoints: Endpoints,
        dispatcher: Dispatcher,
        clock: Callable[[], float] = time.time,
    ):
        self._store = store
        self._endpoints = endpoints
        self._dispatcher = dispatcher
        self._thread = DispatcherThread(dispatcher)
        self._clock = clock

    def start(self) -> None:
        """Deliver what is left from before, if anybody gets events."""
        if self._endpoints.any():
            self._thread.start()

    def announce(
        self,
        owner: str,
        type_: str,
        data: Json,
        occurrence: str,
        stored: Callable[[], None] | None = None,
    ) -> None:
        """Tell the owner, and the operator where it concerns them, of an event. It never raises.

        Whoever announces the same *occurrence* again, and on whichever worker, changes nothing.
        *stored* is called, maybe in another thread, once a crash can no longer lose the event. It
        is not if too many events wait; then announce it again later.
        """
        try:
            now = self._clock()
            recipients = self._endpoints.recipients(owner, type_)
            deliveries = [new_delivery(each, type_, data, occurrence, now) for each in recipients]
        except Exception:
            log.exception("an event (%s) cannot be announced", type_)
            deliveries = []
        if deliveries:
            self._dispatcher.add(deliveries, stored)
            self._wake()
        elif stored:
            stored()

    def deliveries(self, principal: Principal, after: str, limit: int) -> tuple[list[Json], bool]:
        """Return deliveries to *principal*, for an admin those to all, and whether more follow.

        The newest come first. Raises InvalidRequest for an unknown *after*, and Unavailable.
        """
        recipient = None if principal.admin else principal.name
        try:
            with raising_unavailable("Webhooks cannot be read."):
                found = self._store.find(recipient, after, limit + 1)
        except KeyError:
            raise InvalidRequest(
                "after: it must be the id of a delivery.", param="after", code="invalid_value"
            ) from None
        return self._shown(found[:limit]), len(found) > limit

    def delete_all(self, recipient: str) -> int:
        """Delete all deliveries to the key *recipient*, and return how many there were.

        Those that wait are never sent. Raises Unavailable.
        """
        with raising_unavailable("Webhooks cannot be deleted."):
            return self._store.delete_all(recipient)

    def health(self) -> dict[str, Any] | None:
        """Return the state that was seen last, or None if nobody gets events.

        `waiting` counts the events that are not stored yet.
        """
        failure, waiting = self._dispatcher.failure, self._dispatcher.waiting
        if not (failure or waiting or self._endpoints.any()):
            return None
        if not failure:
            return {"status": "ok", "waiting": waiting}
        return {"status": "failing", "waiting": waiting, "error": failure}

    def close(self) -> None:
        """Stop: wait a moment for running attempts, and store what is left."""
        self._thread.close()
        self._store.close()

    def _wake(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as error:  # the machine has no thread; the next event tries again
            log.error("webhooks wait: %s", error)
        self._thread.wake()

    def _shown(self, deliveries: Sequence[Delivery]) -> list[Json]:
        endpoints = {each.recipient: self._endpoints.of(each.recipient) for each in deliveries}
        return [to_json(each, endpoints[each.recipient]) for each in deliveries]


def open_webhooks(settings: Settings, keys: Keys | None, count: Count) -> Webhooks:
    """Return the webhooks of the settings and the *keys*. Their store is opened on first use."""
    store: DeliveryStore = (
        RedisDeliveryStore(settings.redis_url)
        if settings.redis_url
        else SqliteDeliveryStore(settings.usage_db)
    )
    endpoints = Endpoints(settings, keys)
    dispatcher = Dispatcher(store, endpoints, Environment(_post, count))
    return Webhooks(store, endpoints, dispatcher)


async def _post(endpoint: Any, delivery: Delivery) -> Any:
    """Post an event. The client is imported late, since most gateways have no webhooks."""
    from wrapper.services.webhooks.sender import post

    return await post(endpoint, delivery)
