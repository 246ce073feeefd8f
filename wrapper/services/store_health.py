"""How the stores of the gateway fail, and whether they can be used."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from wrapper.errors import Unavailable

log = logging.getLogger(__name__)


class StoreFailed(Unavailable):
    """Raised when a store cannot be read or written.

    The message says why and what to do. The details add *where* the store is, or where it failed.
    """

    def __init__(self, message: str, where: str = ""):
        super().__init__(message, details=f"{message} ({where})" if where else message)


class StoreHealth:
    """Whether the store of *what*, such as "sessions", could be used last."""

    def __init__(self, what: str):
        self._what = what
        self._failure = ""  # why it could not be used; anyone may see it

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Take note of how a use of the store ends. Each new reason for a failure is logged."""
        try:
            yield
        except StoreFailed as error:
            if error.message != self._failure:
                log.error("%s cannot be kept: %s", self._what, error.details)
            self._failure = error.message
            raise
        self._failure = ""

    def state(self) -> dict[str, Any]:
        """Return the state as `/health` shows it."""
        failure = self._failure
        return {"status": "failing", "error": failure} if failure else {"status": "ok"}


@contextlib.contextmanager
def raising_unavailable(effect: str) -> Iterator[None]:
    """Raise Unavailable instead of StoreFailed, which says first what the *effect* is."""
    try:
        yield
    except StoreFailed as error:
        details = f"{effect} {error.details}"
        raise Unavailable(f"{effect} {error.message}", details=details) from None
