"""What a gateway's engine, services and server know about when it stops serving."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Lifecycle:
    """Says whether a gateway drains, and tells its server that its engine must not serve.

    Whoever runs the server may set both attributes: `draining` says whether the server shuts down,
    and `on_refusal` is called once, with the reason, in a thread of the engine's.
    """

    def __init__(self) -> None:
        self.draining: Callable[[], bool] = lambda: False
        self.on_refusal: Callable[[str], None] = lambda reason: None
        self._drained = threading.Event()
        self._refused = threading.Lock()

    def drain(self) -> None:
        """Let no more turns begin."""
        self._drained.set()

    def drains(self) -> bool:
        """Say whether no more turns may begin."""
        return self._drained.is_set() or self.draining()

    def refuse(self, reason: str) -> None:
        """Report why the engine must not serve; only the first report counts."""
        if self._refused.acquire(blocking=False):
            self.on_refusal(reason)
