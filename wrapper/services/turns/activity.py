"""What a running request does at the moment, for those who watch the gateway."""

from __future__ import annotations

from wrapper.services.events import (
    ApprovalChanged,
    CallDelta,
    CallStarted,
    Event,
    RawEvent,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolUse,
    Used,
)

LONGEST_NAME = 80
WAITS = "waits for the model"
# Of the model's own API: what it writes between the beginning and the end of a block.
RAW = {"content_block_delta": "answers", "content_block_start": "answers"}
ACTIVITIES: dict[type, str] = {
    TextDelta: "writes",
    ReasoningDelta: "thinks",
    Started: "answers",
    CallStarted: "calls a function",
    CallDelta: "calls a function",
}


class Activity:
    """Keeps the last event of a request that says what it does."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: Event | None = None

    def note(self, event: Event) -> None:
        # This comes while a tool runs, too, and for each event: what it means is found out later.
        if type(event) is not Used:
            self._event = event

    def text(self) -> str:
        """Return what the request does, with the name of a tool and nothing of its input."""
        match self._event:
            case ToolUse(name=name):
                return f"runs {name[:LONGEST_NAME]}"
            case ApprovalChanged(approval) if approval.decision is None:
                return f"waits for approval of {approval.tool[:LONGEST_NAME]}"
            case ApprovalChanged(approval) if approval.decision and approval.decision.allowed:
                return f"runs {approval.tool[:LONGEST_NAME]}"
            case RawEvent(data):
                return RAW.get(str(data.get("type")), WAITS)
            case event:
                return ACTIVITIES.get(type(event), WAITS)
