"""The encoder of a response's events: encodes once what they repeat."""

from __future__ import annotations

from wrapper.json_text import Json
from wrapper.json_text.encoding import encode

# The fields that repeat the request and may be long. Codex sends 50 kB of tools and instructions,
# which stand in three events of each stream.
LONG = ("instructions", "tools", "tool_choice", "text", "metadata")


class ResponseEncoder:
    """Encodes the events of one response, whose *repeated* fields are those of its request."""

    def __init__(self, repeated: Json):
        self._long = {name: value for name, value in repeated.items() if name in LONG}
        self._long_text = ""
        self._item_id = ""
        self._head = ""

    def encode(self, event: Json) -> str:
        """Return *event* as JSON."""
        if "delta" in event:
            return self._delta(event)
        if "response" in event:
            return self._state(event)
        return encode(event)

    def _delta(self, event: Json) -> str:
        """Return a delta as JSON: those of one item differ in their text and number alone."""
        if event["item_id"] != self._item_id:
            shared = {k: v for k, v in event.items() if k not in ("sequence_number", "delta")}
            self._item_id, self._head = event["item_id"], encode(shared)[:-1]
        number, text = event["sequence_number"], encode(event["delta"])
        return f'{self._head},"sequence_number":{number},"delta":{text}}}'

    def _state(self, event: Json) -> str:
        """Return an event as JSON that carries the whole response."""
        self._long_text = self._long_text or encode(self._long)
        response = event["response"]
        short = encode({name: v for name, v in response.items() if name not in self._long})
        others = encode({name: value for name, value in event.items() if name != "response"})
        return f'{others[:-1]},"response":{short[:-1]},{self._long_text[1:]}}}'
