"""UnknownModels: the models that the provider has just said it does not know."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from cachetools import TTLCache

MOST = 64
SECONDS = 60.0


class UnknownModels:
    """Remembers a model for SECONDS, so that its fallbacks answer without a failed request."""

    def __init__(self, timer: Callable[[], float] = time.monotonic):
        self._models: TTLCache[str, None] = TTLCache(MOST, SECONDS, timer)
        self._lock = threading.Lock()

    def add(self, model: str) -> None:
        """Remember that the provider does not know *model*."""
        with self._lock:
            self._models[model] = None

    def __contains__(self, model: str) -> bool:
        """Whether the provider did not know *model* a moment ago."""
        with self._lock:
            return model in self._models
