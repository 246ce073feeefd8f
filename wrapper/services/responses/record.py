"""The record of a response: what is kept of it. Immutable."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ResponseRecord:
    """A response, its own input, and the `path` to it: the ids of what it continues, root first.

    `response` lacks its output. It, `output` and `input` are packed JSON, so that each is unpacked
    only where it is needed. `size` counts the bytes of the JSON on the whole path.
    """

    path: tuple[str, ...]
    size: int
    response: bytes
    output: bytes
    input: bytes

    @property
    def packed_size(self) -> int:
        """Return the bytes that the parts take."""
        return len(self.response) + len(self.output) + len(self.input)
