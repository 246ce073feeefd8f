"""The order in which the events of a Messages API stream have to come."""

from __future__ import annotations

from wrapper.errors import BadGateway

# How deep each of these leads into an answer: into the message, and into one of its blocks.
DEPTHS = {"message_start": 1, "content_block_start": 2, "content_block_stop": 1, "message_stop": 0}
INNER = {"content_block_start", "content_block_delta", "content_block_stop", "message_delta"}


class EventOrder:
    """Follows one turn's main thread.

    Claude Code passes on what comes in no order, and then takes nothing for an answer, or asks
    once more by itself.
    """

    def __init__(self) -> None:
        self._depth = 0

    def abandon(self) -> None:
        """Take note that the message, and what was open in it, ends here."""
        self._depth = min(self._depth, 1)

    def check(self, kind: str) -> None:
        """Raise BadGateway where what comes is outside of a message, or ends it in a block."""
        outside = kind in INNER and self._depth == 0
        if outside or (kind == "message_delta" and self._depth > 1):
            raise BadGateway("The model's API sent an answer in a wrong order.")
        self._depth = DEPTHS.get(kind, self._depth)
