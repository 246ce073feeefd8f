"""Turn thinking blocks into events: their text as it comes, and then the whole block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from wrapper.json_text import Json
from wrapper.services.events import Event, ReasoningDelta, RedactedThought, Thought


class ThinkingReader:
    """Reads the thinking blocks of a turn. *prefix* returns the digest for the blocks.

    A block without a signature yields no Thought: the API would not take it back.
    """

    def __init__(self, prefix: Callable[[], str]):
        self._prefix = prefix
        self._block: Json = {}
        self._text = ""
        self._signature = ""

    def open(self, block: Json) -> Iterator[Event]:
        """Begin a block, of whatever type."""
        self._block = block
        self._text = self._signature = ""
        if block.get("type") == "thinking":
            self.sign(block.get("signature"))
            yield from self.feed(block.get("thinking"))

    def feed(self, piece: Any) -> Iterator[Event]:
        """Add a *piece* of the text, if it is not empty."""
        if piece:
            self._text += as_text(piece)
            yield ReasoningDelta(piece)

    def sign(self, signature: Any) -> None:
        """Set the signature, which comes in one piece."""
        self._signature = as_text(signature or "")

    def close(self) -> Iterator[Event]:
        """End the block."""
        block, self._block = self._block, {}
        match block.get("type"):
            case "thinking" if self._signature:
                yield Thought(self._text, self._signature, self._prefix())
            case "redacted_thinking":
                yield RedactedThought(as_text(block["data"]), self._prefix())


def as_text(value: Any) -> str:
    """Return *value*. Raises TypeError if it is no text."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in place of a text")
    return value
