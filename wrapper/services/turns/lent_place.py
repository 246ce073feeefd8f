"""The place of a request that waits for its session, and that turns in progress may need."""

from __future__ import annotations

import threading

from wrapper.services.background.watchdog import CHECK_SECONDS, Watchdog
from wrapper.services.limits.admission import Permit


class LentPlace:
    """Lends the place of *permit* to a turn that has begun and asks for one back.

    That turn may be the one whose end the request waits for: without the place it would not end.
    """

    def __init__(self, permit: Permit, watchdog: Watchdog):
        self._permit = permit
        self._watchdog = watchdog
        self._lent = False

    def check(self) -> None:
        """Lend the place if that is needed. Raises what *watchdog* raises."""
        self._watchdog.check()
        self._lent = self._lent or self._permit.make_way()

    def take_back(self) -> None:
        """Wait until the request has a place again. Raises what *watchdog* raises."""
        if not self._lent:
            return
        taken = threading.Event()
        stop = self._permit.take_again(taken.set)
        try:
            while not taken.wait(CHECK_SECONDS):
                self._watchdog.check()
        finally:
            stop()
        self._lent = False
