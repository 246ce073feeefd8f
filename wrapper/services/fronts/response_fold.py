"""Put a response together, as far as the events of its stream say what it is."""

from __future__ import annotations

from wrapper.json_text import Json

# The types of the events that end a stream.
ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
# The fields to which the deltas of calls add.
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}


class ResponseFold:
    """The response that events add up to. It begins as *response*. One item at a time is open."""

    def __init__(self, response: Json):
        self._response = response
        self._items: list[Json] = []
        self._open: Json | None = None
        self._texts: list[str] = []

    def add(self, event: Json) -> None:
        """Add *event*. Those of other types change nothing."""
        if event["type"] == "response.output_item.added":
            self._open, self._texts = event["item"], []
        elif event["type"] == "response.output_item.done":
            self._items.append(event["item"])
            self._open = None
        elif "delta" in event:
            self._texts.append(event["delta"])
        elif "response" in event:
            self._response = event["response"]

    def running(self) -> Json:
        """Return the response while it is in progress."""
        items = [*self._items, *([self._written()] if self._open else [])]
        return {**self._response, "status": "in_progress", "output": items}

    def ended(self, status: str, error: Json | None = None) -> Json:
        """Return the response that has ended early. A call that was cut is left out."""
        item = self._written() if self._open and self._open["type"] not in _CALLS else None
        if item and "status" in item:
            item["status"] = "incomplete"
        items = [*self._items, *([item] if item else [])]
        return {**self._response, "status": status, "output": items, "error": error}

    def _written(self) -> Json:
        """Return the open item with what is written of it."""
        item, text = dict(self._open or {}), "".join(self._texts)
        kind = item["type"]
        if kind in _CALLS:
            item[_CALLS[kind]] = text
        elif kind == "message" and text:
            part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
            item["content"] = [part]
        elif kind == "reasoning" and text:
            item["summary"] = [{"type": "summary_text", "text": text}]
        return item
