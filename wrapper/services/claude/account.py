"""The account: what Claude Code says of its login, less all that is personal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.supervisor import Fleet

FRESH_SECONDS = 30.0
# What of the CLI's account is told; an e-mail address or an organisation is not among it.
TOLD = {
    "apiProvider": "provider",
    "subscriptionType": "subscription",
    "apiKeySource": "key_source",
    "tokenSource": "token_source",
}


class Account:
    """Asks a warm process, which is of no use for a turn afterwards, at most every FRESH_SECONDS.

    *stamp* changes when a login or a logout may have happened.
    """

    def __init__(
        self,
        lease: Callable[[], Future[Process]],
        stamp: Callable[[], Hashable],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._lease = lease
        self._stamp = stamp
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[Hashable, float, dict[str, str]] | None = None

    def read(self, fleet: Fleet, seconds: float) -> dict[str, str]:
        """Return provider, subscription, key_source and token_source, as far as there are any.

        Raises ApiError, BootFailed or TimeoutError when no process answers within *seconds*.
        """
        with self._lock:
            stamp, now = self._stamp(), self._clock()
            if self._known and self._known[0] == stamp and now - self._known[1] < FRESH_SECONDS:
                return self._known[2]
            account = self._ask(fleet, seconds)
            self._known = (stamp, now, account)
            return account

    def _ask(self, fleet: Fleet, seconds: float) -> dict[str, str]:
        future = self._lease()
        try:
            process = future.result(seconds)
        except TimeoutError:
            fleet.give_up(future)
            raise
        try:
            said: dict[str, Any] = process.ask({"subtype": "initialize"}, seconds)
        finally:
            fleet.discard(process)
        account = said.get("account")
        account = account if isinstance(account, dict) else {}
        return {name: str(account[key]) for key, name in TOLD.items() if account.get(key)}
