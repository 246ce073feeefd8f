"""Put a message of Anthropic's Messages API together from the events of its stream."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, NoReturn

from wrapper.json_text import Json

# The fields of the last event that are not fields of the message.
_OF_EVENT = ("type", "delta", "usage")


@dataclass
class _Block:
    """A content block as it began, and the pieces that its deltas add to it."""

    opening: Json
    pieces: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, delta: Json) -> None:
        for name, value in delta.items():
            if name != "type":
                self.pieces.setdefault(name, []).append(value)

    def whole(self) -> Json:
        block = dict(self.opening)
        for name, values in self.pieces.items():
            if name == "partial_json":
                block["input"] = _read("".join(map(str, values)), block.get("input"))
            elif name == "citation":
                block["citations"] = [*(block.get("citations") or []), *values]
            else:
                block[name] = _joined(block.get(name), values)
        return block


class MessageFold:
    """The message that a stream's events add up to."""

    def __init__(self) -> None:
        self._message: Json = {}
        self._blocks: dict[int, _Block] = {}

    def add(self, event: Json) -> None:
        """Add *event*. Those of unknown types change nothing."""
        match event["type"]:
            case "message_start":
                self._message = dict(event["message"])
            case "content_block_start":
                self._blocks[event["index"]] = _Block(event["content_block"])
            case "content_block_delta":
                self._blocks.setdefault(event["index"], _Block({})).add(event["delta"])
            case "message_delta":
                self._end(event)

    def whole(self) -> Json:
        """Return the message; it is empty if there was none."""
        if not self._message:
            return {}
        blocks = [self._blocks[index].whole() for index in sorted(self._blocks)]
        return {**self._message, "content": blocks}

    def _end(self, event: Json) -> None:
        message = self._message
        message |= {name: value for name, value in event.items() if name not in _OF_EVENT}
        message |= event["delta"]
        counts = {name: n for name, n in (event.get("usage") or {}).items() if n is not None}
        message["usage"] = {**(message.get("usage") or {}), **counts}


def _joined(before: Any, values: list[Any]) -> Any:
    """Return the text that goes on with *values*; of other values the last one counts."""
    texts = [*([] if before is None else [before]), *values]
    return "".join(texts) if all(isinstance(text, str) for text in texts) else values[-1]


def _read(text: str, otherwise: Any) -> Any:
    """Return the value of *text*, or *otherwise* if it is no JSON: max_tokens may have cut it."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return otherwise


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _refuse(number: str) -> NoReturn:
    raise ValueError(number)
