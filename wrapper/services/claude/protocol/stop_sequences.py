"""Cut an answer at the first stop sequence, even one that spans several deltas."""

from __future__ import annotations

from collections.abc import Sequence


class StopCutter:
    """Passes text on up to the first stop sequence. `hit` says whether it was reached."""

    def __init__(self, stops: Sequence[str]):
        self._stops = stops
        self._held = ""
        self.hit = False

    def feed(self, text: str) -> str:
        """Return the part of the text that certainly precedes every stop sequence."""
        if self.hit:
            return ""
        self._held += text
        hits = [(at + len(s), at) for s in self._stops if (at := self._held.find(s)) >= 0]
        if hits:
            self.hit = True
            end = min(hits)[1]  # the stop sequence that was complete first
        else:
            end = len(self._held) - self._partial_stop()
        passed, self._held = self._held[:end], self._held[end:]
        return passed

    def rest(self) -> str:
        """Return the text that was held back, once, when no more text comes."""
        rest, self._held = self._held, ""
        return "" if self.hit else rest

    def _partial_stop(self) -> int:
        """Return the length of the longest suffix that may begin a stop sequence."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            end = self._held[-size:]
            if any(stop.startswith(end) for stop in self._stops):
                return size
        return 0
