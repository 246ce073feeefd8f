"""Check the order of the events of a Messages API stream."""

from __future__ import annotations

from wrapper.errors import BadGateway

# The nesting depth after each event: 1 within a message, 2 within one of its blocks.
DEPTHS = {"message_start": 1, "content_block_start": 2, "content_block_stop": 1, "message_stop": 0}
INNER = {"content_block_start", "content_block_delta", "content_block_stop", "message_delta"}


class EventOrder:
    """Follows the events of one turn's main thread.

    Claude Code passes on events in a wrong order too. Then it reports an empty answer, or asks the
    model again by itself.
    """

    def __init__(self) -> None:
        self._depth = 0

    def abandon(self) -> None:
        """Record that the current message was broken off, and its open block with it."""
        self._depth = min(self._depth, 1)

    def check(self, kind: str) -> None:
        """Raise BadGateway for an event outside a message, or an end of a message in a block."""
        outside = kind in INNER and self._depth == 0
        if outside or (kind == "message_delta" and self._depth > 1):
            raise BadGateway("The model's API sent an answer in a wrong order.")
        self._depth = DEPTHS.get(kind, self._depth)
