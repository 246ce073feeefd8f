"""Stop texts: where an answer must end, also when one is spread over several deltas."""

from __future__ import annotations

from collections.abc import Sequence


class StopCutter:
    """Lets text through up to the first stop text. `hit` says that it was reached."""

    def __init__(self, stops: Sequence[str]):
        self._stops = stops
        self._held = ""
        self.hit = False

    def feed(self, text: str) -> str:
        """Return what of the text so far is certain to stand before every stop text."""
        if self.hit:
            return ""
        self._held += text
        found = [(at + len(s), at) for s in self._stops if (at := self._held.find(s)) >= 0]
        if found:
            self.hit = True
            end = min(found)[1]  # of the stop text that was whole first
        else:
            end = len(self._held) - self._possible()
        passed, self._held = self._held[:end], self._held[end:]
        return passed

    def rest(self) -> str:
        """Return what was held back, once, now that nothing more comes."""
        rest, self._held = self._held, ""
        return "" if self.hit else rest

    def _possible(self) -> int:
        """Return the length of the longest end of the text that may begin a stop text."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            end = self._held[-size:]
            if any(stop.startswith(end) for stop in self._stops):
                return size
        return 0
