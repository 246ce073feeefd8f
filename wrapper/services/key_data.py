"""The data of keys: deletes all that one of them has stored, in every store."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from wrapper.errors import ApiError, Unavailable
from wrapper.services.principal import Principal

TURNS = "turns"
# Seconds without a turn after which nothing of the earlier ones is stored any more: other workers
# have said what they run, and have stored the requests that were over.
QUIET_SECONDS = 2.5
# Seconds that turns get to end, and between two looks at them.
ENDING_SECONDS = 20.0
LOOK_SECONDS = 0.25

# Deletes all that the key of this name has in a store, and returns how many that were.
Delete = Callable[[str], int]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deletion:
    """How much of the data of a *key* was deleted, by kind, and why kinds are `left`, if any are.

    Of `turns`, it is how many were stopped.
    """

    key: str
    deleted: Mapping[str, int]
    left: Mapping[str, str]

    def check(self) -> None:
        """Raise Unavailable, with what is left and why, unless everything is deleted."""
        if self.left:
            reasons = " ".join(f"{kind}: {why}" for kind, why in self.left.items())
            raise Unavailable(
                f"Not all data of the key {self.key!r} is deleted; delete it again. Left are "
                f"{reasons}"
            )


class KeyData:
    """Deletes what keys have stored.

    First *jobs* deletes what would begin or end turns, then *stop_turns* stops those that run: it
    returns how many are left. Then *stores* deletes the rest, by kind, in this order.
    """

    def __init__(
        self,
        jobs: Mapping[str, Delete],
        stop_turns: Callable[[str, Principal], int],
        stores: Mapping[str, Delete],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self._jobs = jobs
        self._stop = stop_turns
        self._stores = stores
        self._clock = clock
        self._sleep = sleep

    def delete(self, key: str, by: Principal) -> Deletion:
        """Delete all that *key* has stored, for the admin *by*.

        A store that cannot be used is left. To delete again does the rest, and harms nothing.
        """
        deleted: dict[str, int] = {}
        left: dict[str, str] = {}
        steps: dict[str, Delete] = {
            **self._jobs,
            TURNS: partial(self._stop_turns, by=by),
            **self._stores,
        }
        for kind, delete in steps.items():
            try:
                deleted[kind] = delete(key)
            except ApiError as error:
                left[kind] = error.message
        log.info("%s: delete the data of the key %s: %s", by.name, key, dict(deleted))
        for kind, why in left.items():
            log.error("%s of the key %s are not deleted: %s", kind, key, why)
        return Deletion(key, deleted, left)

    def _stop_turns(self, key: str, by: Principal) -> int:
        """Stop the key's turns, wait until there is none, and return how many there were at most.

        Raises Unavailable.
        """
        most = 0
        now = begun = quiet = self._clock()
        while now - quiet < QUIET_SECONDS:
            if running := self._stop(key, by):
                quiet, most = now, max(most, running)
                if now - begun >= ENDING_SECONDS:
                    raise Unavailable(f"{running} do not end; what they store may stay.")
            self._sleep(LOOK_SECONDS)
            now = self._clock()
        return most
