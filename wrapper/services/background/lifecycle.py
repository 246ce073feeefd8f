"""The state of a gateway that drains or must not serve, shared by its engine and server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from wrapper.json_text import Json

# Takes the type, the data and the occurrence of an event.
Announce = Callable[[str, Json, str], None]

log = logging.getLogger(__name__)


class Lifecycle:
    """Says whether a gateway drains, and tells its server that its engine must not serve.

    The server may set the attributes: `draining` says whether it shuts down. `on_loaded` is called
    when the engine has imported its code, and `on_refusal` once, with the reason, both in a thread
    of the engine's. By default the first does nothing, and the second logs the reason.
    `workers` is the number of processes that serve at the same address, and `serves` says whether
    this one does, or only runs jobs. The gateway sets `announce`, by which the engine announces
    events to the operator (services/webhooks).
    """

    def __init__(self) -> None:
        self.draining: Callable[[], bool] = lambda: False
        self.on_loaded: Callable[[], None] = lambda: None
        self.on_refusal: Callable[[str], None] = _log_refusal
        self.workers = 1
        self.serves = True
        self.announce: Announce = lambda type_, data, occurrence: None
        self._drained = threading.Event()
        self._refused = threading.Lock()

    def drain(self) -> None:
        """Refuse new turns from now on."""
        self._drained.set()

    def drains(self) -> bool:
        """Say whether new turns are refused."""
        return self._drained.is_set() or self.draining()

    def refuse(self, reason: str) -> None:
        """Report why the engine must not serve; only the first report counts."""
        if self._refused.acquire(blocking=False):
            self.on_refusal(reason)


def _log_refusal(reason: str) -> None:
    log.critical("Claude Code must not serve: %s", reason)
