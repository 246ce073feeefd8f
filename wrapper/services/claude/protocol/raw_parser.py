"""Pass the Messages API stream of a turn's main thread on as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from wrapper.errors import BadGateway
from wrapper.services.claude.errors.engine_errors import BROKEN_OFF
from wrapper.services.claude.protocol.turn_parser import (
    CUT_SHORT,
    ENDINGS,
    Raw,
    TurnParser,
    is_aborted,
)
from wrapper.services.claude.protocol.usage_counter import UsageCounter
from wrapper.services.events import Ending, Event, RawEvent, Started
from wrapper.services.spent import sum_usage

# A type names its event in a stream, so it must not break the line.
_TYPE = re.compile(r"[\w.-]{1,100}")
# The fields that each event must have, with their types.
_SHAPES: dict[str, dict[str, type]] = {
    "message_start": {"message": dict},
    "content_block_start": {"index": int, "content_block": dict},
    "content_block_delta": {"index": int, "delta": dict},
    "content_block_stop": {"index": int},
    "message_delta": {"delta": dict},
}


class RawParser(TurnParser):
    """Passes the raw events of the first message on, and counts what follows it.

    Claude Code ends a message itself that the API broke off or refused. Its events are held back.
    """

    def __init__(self, usage: UsageCounter | None = None, *, resumed: bool = False):
        super().__init__(usage, resumed=resumed)
        self._held: list[Raw] = []
        self._stopped = False
        self._refusal: Raw = {}

    def read(self, event: Raw) -> Iterator[Event]:
        kind = _checked_type(event)
        if self._stopped or (kind == "message_start" and self._stop_reason):
            self._stopped = True
            self._read_usage(event)
            return
        self._follow_order(event)
        match kind:
            case "message_start":
                yield from self._start(event["message"])
            case "message_delta":
                yield from self._stop(event)
            case "message_stop":
                self._stopped = not self._held
        if is_aborted(event) or (self._held and kind == "message_stop"):
            self._held.append(event)
            return
        yield from self._release()
        yield RawEvent(event)

    def rest(self, result: Raw | None) -> Iterator[Event]:
        """Yield the end of a message that the process did not end, with the usage of *result*."""
        if self._stop_reason is None or not self.started or self._stopped:
            return
        if self._held:
            yield RawEvent(self._refused(result))
        yield RawEvent({"type": "message_stop"})

    def refuse(self, details: Raw) -> None:
        super().refuse(details)
        names = {"category": "api_refusal_category", "explanation": "api_refusal_explanation"}
        self._refusal = {own: details.get(name) for own, name in names.items()}

    def _ending(self) -> Ending | None:
        if self._stop_reason == "tool_use":
            return Ending.CALLS
        return ENDINGS.get(self._stop_reason, Ending.DONE) if self._stop_reason else None

    def _start(self, message: Raw) -> Iterator[Event]:
        if self.started:
            raise BadGateway(f"{BROKEN_OFF} It was asked again, and the turn was ended.")
        self.usage.start(message)
        yield Started(str(message["model"]), self._resumed)
        yield self.usage.used()

    def _stop(self, event: Raw) -> Iterator[Event]:
        self.usage.stop(event.get("usage"))
        self._stop_reason = event["delta"].get("stop_reason") or self._stop_reason
        self.limited = self._stop_reason in CUT_SHORT
        yield self.usage.used()

    def _release(self) -> Iterator[Event]:
        held, self._held = self._held, []
        yield from map(RawEvent, held)

    def _refused(self, result: Raw | None) -> Raw:
        """Return the event that ends a refused message, as the API writes it.

        Claude Code's own has neither the stop reason nor the usage.
        """
        usage = sum_usage(spent.usage for spent in self.usage.used(result).spent.values())
        delta: Raw = {"stop_reason": "refusal", "stop_sequence": None}
        if any(self._refusal.values()):
            delta["stop_details"] = {"type": "refusal", **self._refusal}
        return {
            "type": "message_delta",
            "delta": delta,
            "usage": {"output_tokens": usage.output},
        }


def _checked_type(event: Mapping[str, object]) -> str:
    """Return the type of *event*. Raises BadGateway if the event lacks what it must have."""
    kind = event.get("type")
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        raise BadGateway("The model's API sent an event without a type.")
    for name, expected in _SHAPES.get(kind, {}).items():
        if not isinstance(event.get(name), expected):
            raise BadGateway(f"The model's API sent a {kind} without a valid {name}.")
    return kind
