"""Wait for the decisions of approvals that other workers write to Redis."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from wrapper.errors import Unavailable
from wrapper.logs.redaction import Redacted
from wrapper.services.approvals.approval import Approval, Decision
from wrapper.services.approvals.codec import decode_decision
from wrapper.services.approvals.store import Notify
from wrapper.services.redis_client import RedisClient
from wrapper.services.store_health import StoreFailed

if TYPE_CHECKING:
    from redis import Redis

# How long Redis holds back its answer where no decision comes. Its client waits 2 seconds for one.
BLOCK_SECONDS = 1
CLOSING_SECONDS = 5.0
LOST = Decision("withdrawn", reason="The gateway has lost the approval, or its Redis.")

# Renews approvals, and returns the decisions of those that are decided or lost.
Renew = Callable[["Redis", Sequence[Approval]], Iterable[tuple[Approval, Decision]]]

log = logging.getLogger(__name__)


class RedisWaiter:
    """Has a thread, while approvals wait, that reads decisions from the list `inbox`.

    It also renews the approvals before their *hold* seconds are over, and so learns decisions that
    were lost on the way from the list. Where Redis has lost an approval, or cannot be reached for
    so long, it is decided as LOST.
    """

    def __init__(self, redis: RedisClient, renew: Renew, *, prefix: str, hold: float):
        self._redis = redis
        self._renew = renew
        self._hold = hold
        self._inbox = f"{prefix}:decided:{{}}"
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[Approval, Notify, float]] = {}  # with the time of addition
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._id = ""

    @property
    def inbox(self) -> str:
        """Return the key of the list, which is this process's own."""
        with self._lock:
            self._id = self._id or uuid.uuid4().hex
            return self._inbox.format(self._id)

    def add(self, approval: Approval, notify: Notify) -> None:
        """Call *notify* with the decision of *approval* once it comes. Raises Unavailable."""
        with self._lock:
            self._waiting[approval.id] = approval, notify, time.monotonic()
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="approvals", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # the machine has none left, and may have one later
                    del self._waiting[approval.id]
                    raise Unavailable("No approval can wait: no thread is left.") from error
                self._thread = thread

    def forget(self, id_: str) -> None:
        with self._lock:
            self._waiting.pop(id_, None)

    def close(self) -> None:
        """End the thread, which takes as long as Redis holds back an answer."""
        self._closed.set()
        with self._lock:
            thread = self._thread
        if thread:
            thread.join(CLOSING_SECONDS)

    def _run(self) -> None:
        reached = renewed = time.monotonic()
        while approvals := self._approvals():
            try:
                now = time.monotonic()
                with self._redis.reached() as client:
                    if now - renewed >= self._hold / 3:
                        for approval, decision in self._renew(client, self._older_than(renewed)):
                            self._notify(approval.id, decision)
                        renewed = now
                    self._read(client)
                reached = time.monotonic()
            except Exception as error:  # the thread must go on: nobody else reads decisions
                if time.monotonic() - reached >= self._hold:
                    why = error.details if isinstance(error, StoreFailed) else Redacted(error)
                    log.error("the approvals that wait are refused: %s", why)
                    for approval in approvals:
                        self._notify(approval.id, LOST)
                self._closed.wait(BLOCK_SECONDS)

    def _approvals(self) -> list[Approval]:
        """Return the approvals that wait. Without any, or once it is closed, the thread ends."""
        with self._lock:
            approvals = [approval for approval, *_ in self._waiting.values()]
            if not approvals or self._closed.is_set():
                self._thread = None
                return []
            return approvals

    def _older_than(self, time_: float) -> list[Approval]:
        """Return the approvals that were added before. A newer one may not be in Redis yet."""
        with self._lock:
            return [approval for approval, _, since in self._waiting.values() if since <= time_]

    def _read(self, client: Redis) -> None:
        """Pass on the next decision, if one comes soon."""
        popped: Any = client.blpop([self.inbox], timeout=BLOCK_SECONDS)
        if popped is None:
            return
        id_, _, decision = popped[1].partition(b" ")
        with contextlib.suppress(ValueError, TypeError):  # the approval then expires
            self._notify(id_.decode(), decode_decision(decision))

    def _notify(self, id_: str, decision: Decision) -> None:
        with self._lock:
            waiting = self._waiting.pop(id_, None)
        if waiting:
            waiting[1](decision)
