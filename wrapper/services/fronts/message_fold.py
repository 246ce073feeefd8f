"""Put a message of Anthropic's Messages API together from the events of its stream."""

from __future__ import annotations

import copy
import json
import math
from typing import Any, NoReturn

from wrapper.json_text import Json


class MessageFold:
    """The message that a stream's events add up to; None before the first of them."""

    def __init__(self) -> None:
        self.message: Json | None = None
        self._blocks: dict[int, Json] = {}
        self._inputs: dict[int, list[str]] = {}

    def add(self, event: Json) -> None:
        """Add *event*. Those of unknown types change nothing."""
        match event["type"]:
            case "message_start":
                self.message = copy.deepcopy(dict(event["message"]))
            case "content_block_start":
                self._blocks[event["index"]] = copy.deepcopy(event["content_block"])
            case "content_block_delta":
                self._add_delta(event["index"], event["delta"])
            case "content_block_stop":
                self._stop_block(event["index"])
            case "message_delta":
                self._end(event)

    def _add_delta(self, index: int, delta: Json) -> None:
        block = self._blocks.setdefault(index, {})
        for name, value in delta.items():
            if name == "partial_json":
                self._inputs.setdefault(index, []).append(str(value))
            elif name == "citation":
                block["citations"] = [*(block.get("citations") or []), value]
            elif name != "type":
                block[name] = _joined(block.get(name), value)

    def _stop_block(self, index: int) -> None:
        text = "".join(self._inputs.pop(index, ()))
        if text and (value := _read(text)) is not None:
            self._blocks.setdefault(index, {})["input"] = value

    def _end(self, event: Json) -> None:
        message = self.message = self.message or {}
        message |= {name: value for name, value in event.items() if name not in _OF_EVENT}
        message |= event["delta"]
        message["content"] = [self._blocks[index] for index in sorted(self._blocks)]
        counts = {name: n for name, n in (event.get("usage") or {}).items() if n is not None}
        message["usage"] = {**(message.get("usage") or {}), **counts}


# The fields of the event that are not fields of the message.
_OF_EVENT = ("type", "delta", "usage")


def _joined(before: Any, more: Any) -> Any:
    """Return *more* after what came *before* it: a text goes on, and any other value replaces."""
    return before + more if isinstance(before, str) and isinstance(more, str) else more


def _read(text: str) -> Any:
    """Return the value of *text*, None if it is no JSON: max_tokens may have cut it off."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return None


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _refuse(number: str) -> NoReturn:
    raise ValueError(number)
