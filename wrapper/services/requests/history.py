"""The history of requests: it stores what the request log says of each, and searches it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from wrapper.logs.redaction import Redacted
from wrapper.services.principal import Principal
from wrapper.services.requests.redis_store import RedisRequestStore
from wrapper.services.requests.request import (
    FinishedRequest,
    Latency,
    RequestQuery,
    RequestUsage,
)
from wrapper.services.requests.sqlite_store import SqliteRequestStore
from wrapper.services.requests.store import RequestStore
from wrapper.services.store_health import StoreFailed, raising_unavailable
from wrapper.services.usage.access import readable_key
from wrapper.services.usage.store import Amounts
from wrapper.settings import Settings

DAY, HOUR = 86_400, 3600
# Requests wait for so many seconds to be stored together, and so many of them at most.
FLUSH_SECONDS = 1.0
MAX_WAITING = 10_000
BATCH = 500
LONGEST, LONGEST_MESSAGES = 256, 20_000
# The facts of the request log that are kept as details.
KEPT = (
    *("stream", "profile", "source", "user", "status", "param", "trace_id"),
    *("adapted_params", "retried_params", "unmet_params", "ended_early", "failed_models"),
    *("queue_ms", "lease_ms", "configure_ms", "first_token_ms", "total_ms"),
)

T = TypeVar("T")

log = logging.getLogger(__name__)


class RequestHistory:
    """Keeps requests in *store* for so many *days*. Threads may share it.

    A thread, which lives only while some wait, stores them in batches, so that no request waits for
    the store. Those that it does not take are missing, with a warning. Only with *prompts* are
    messages kept, and errors in full.
    *now* returns Unix seconds.
    """

    def __init__(
        self,
        store: RequestStore,
        days: int,
        *,
        prompts: bool = False,
        now: Callable[[], float] = time.time,
    ):
        self._store = store
        self.days = days
        self._prompts = prompts
        self._now = now
        self._waiting: deque[tuple[float, Mapping[str, Any], RequestUsage | None]]
        self._waiting = deque(maxlen=MAX_WAITING)
        self._writing = threading.Lock()
        self._trims_at = now() + HOUR
        self._scheduling = threading.Lock()
        self._flushing: threading.Timer | None = None
        self._closed = False

    def add(self, facts: Mapping[str, Any], usage: RequestUsage | None = None) -> None:
        """Keep a request by its *facts* in the log. One that was refused has no *usage*."""
        self._waiting.append((self._now(), facts, usage))
        if self._flushing is None:
            self._schedule()

    def flush(self) -> None:
        """Store the requests that wait, and after an hour remove those that are too old."""
        with self._scheduling:
            if self._flushing:  # another flush need not follow
                self._flushing.cancel()
            self._flushing = None
        with self._writing:
            now = self._now()
            while self._waiting or now >= self._trims_at:
                self._trims_at = now + HOUR
                self._write([*self._batch()], now - self.days * DAY)

    def find(
        self, principal: Principal, query: RequestQuery, before: str, limit: int
    ) -> list[FinishedRequest]:
        """Return the last requests that *principal* may see, as `RequestStore.find` does.

        All methods that read raise PermissionDenied where the query names another's key and
        *principal* is no admin, and Unavailable where the store cannot be read.
        """
        return self._read(
            principal, query, lambda allowed: self._store.find(allowed, before, limit)
        )

    def total(self, principal: Principal, query: RequestQuery) -> tuple[int, Amounts]:
        return self._read(principal, query, self._store.total)

    def latencies(self, principal: Principal, query: RequestQuery) -> list[Latency]:
        return self._read(principal, query, self._store.latencies)

    def delete_all(self, key: str) -> int:
        """Delete all requests of *key*, and return how many there were. Raises Unavailable."""
        self.flush()
        with raising_unavailable("The requests cannot be deleted."):
            return self._store.delete_all(key)

    def close(self) -> None:
        with self._scheduling:
            self._closed = True
        self.flush()
        self._store.close()

    def _schedule(self) -> None:
        with self._scheduling:
            if self._flushing is None and not self._closed:
                timer = threading.Timer(FLUSH_SECONDS, self.flush)
                timer.daemon = True
                try:
                    timer.start()
                except RuntimeError as error:  # the next request tries again
                    log.error("the history of requests waits: %s", error)
                else:
                    self._flushing = timer

    def _batch(self) -> Iterator[FinishedRequest]:
        for _ in range(min(BATCH, len(self._waiting))):
            yield self._finished(*self._waiting.popleft())

    def _write(self, requests: list[FinishedRequest], oldest: float) -> None:
        try:
            self._store.append(requests, oldest)
        except StoreFailed as error:
            number = len(requests)
            log.warning("%d requests are missing from the history: %s", number, error.details)

    def _read(
        self, principal: Principal, query: RequestQuery, read: Callable[[RequestQuery], T]
    ) -> T:
        key = readable_key(principal, query.key, f"the requests of {query.key!r}")
        self.flush()  # so that one's last request is there
        with raising_unavailable("The requests cannot be read."):
            return read(replace(query, key=key))

    def _finished(
        self, ended: float, facts: Mapping[str, Any], usage: RequestUsage | None
    ) -> FinishedRequest:
        began = ended - facts.get("total_ms", 0) / 1000
        usage = usage or RequestUsage(datetime.fromtimestamp(began, UTC).date().isoformat())
        return FinishedRequest(
            facts["id"],
            facts["key"],
            _text(facts.get("model", "")),
            _text(facts.get("session") or facts.get("client_session", "")),
            facts["outcome"],
            usage.day,
            round(began, 3),
            usage.amounts,
            self._details(facts, usage),
        )

    def _details(self, facts: Mapping[str, Any], usage: RequestUsage) -> dict[str, Any]:
        kept = {name: facts[name] for name in KEPT if name in facts}
        if usage.tools:
            kept["tools"] = {name: counts.values() for name, counts in usage.tools.items()}
        if "error" in facts:
            kept["error"] = _text(self._message(facts["error"]), 10 * LONGEST)
        if self._prompts and "messages" in facts:
            kept["messages"] = _text(json.dumps(facts["messages"]), LONGEST_MESSAGES)
        return kept

    def _message(self, error: Redacted) -> str:
        """Return the message that the client got, with lengths in place of callers' words."""
        if isinstance(error.value, BaseException):
            return "The gateway failed; its log says why."
        return str(error.value if self._prompts else error)


def open_history(settings: Settings) -> RequestHistory | None:
    """Return the history that the settings ask for, or None. Its store is opened on first use."""
    if not settings.request_log_days:
        return None
    store: RequestStore = (
        RedisRequestStore(settings.redis_url)
        if settings.redis_url
        else SqliteRequestStore(settings.usage_db)
    )
    return RequestHistory(store, settings.request_log_days, prompts=settings.log_prompts)


def _text(text: str, longest: int = LONGEST) -> str:
    """Return *text* as every store can keep it."""
    short = text if len(text) <= longest else f"{text[:longest]}…"
    return short if short.isascii() else short.encode(errors="replace").decode()
