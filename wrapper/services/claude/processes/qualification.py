"""The qualification of a binary for a profile: which checks it has passed, and which it fails."""

from __future__ import annotations

import threading
from collections.abc import Mapping


class Qualification:
    """The results of checks, by their ids: the text of a failure, or "" for a pass.

    They come in while processes of the binary run. A *trusted* binary is not tried, and counts as
    one that passes.
    """

    def __init__(self, results: Mapping[str, str] | None = None, *, trusted: bool = False):
        self._trusted = trusted
        self._lock = threading.Lock()
        self._results = dict(results or {})
        self._transient: dict[str, str] = {}

    def passed(self, check: str) -> bool:
        """Say whether the check is over, and has passed."""
        return self.failure(check) == ""

    def failure(self, check: str) -> str | None:
        """Return why the check fails, "" if it has passed, None if it is not over."""
        with self._lock:
            unknown = "" if self._trusted else None
            return self._transient.get(check) or self._results.get(check, unknown)

    def failures(self) -> dict[str, str]:
        """Return why checks fail, by their ids."""
        with self._lock:
            results = {**self._results, **self._transient}
        return {check: failure for check, failure in results.items() if failure}

    def results(self) -> dict[str, str]:
        """Return the results that hold for every process of the binary."""
        with self._lock:
            return dict(self._results)

    def record(self, check: str, failure: str, *, transient: bool = False) -> None:
        """Record the result of a check. A *transient* one holds for this gateway alone."""
        with self._lock:
            (self._transient if transient else self._results)[check] = failure
