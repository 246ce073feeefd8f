"""The answer: collects the events of a turn."""

from __future__ import annotations

from dataclasses import dataclass, field

from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Compacted,
    Ended,
    Ending,
    Event,
    Started,
    TextDelta,
    Unfit,
)
from wrapper.services.messages.message import ChatMessage
from wrapper.services.turn import Message, ToolCall


@dataclass
class PartialCall:
    """A call whose arguments still come in."""

    id: str
    name: str
    arguments: str = ""


@dataclass
class Answer:
    """The answer that a turn's events add up to."""

    model: str = ""
    resumed: bool = False
    calls: list[PartialCall] = field(default_factory=list)
    ended: Ended | None = None
    compacted: tuple[Message, ...] | None = None
    unfit: Unfit | None = None
    _texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def add(self, event: Event) -> None:
        """Add *event*. Raises BadAnswer where the turn ends with an answer that cannot be used."""
        match event:
            case Started():
                self.model, self.resumed = event.model, event.resumed
            case Compacted():
                self.compacted = event.messages
            case TextDelta():
                self._texts.append(event.text)
            case CallStarted():
                self.calls.append(PartialCall(event.id, event.name))
            case CallDelta():
                self.calls[event.index].arguments += event.arguments
            case Unfit():
                self.unfit = event
            case Ended():
                self.ended = event
                if self.unfit:
                    raise self.unfit.error

    def message(self, *, legacy: bool) -> ChatMessage:
        """Return the answer as a client sends it back, with a *legacy* call without an id.

        Calls that the model did not finish are left out.
        """
        text = self.text
        whole = self.ended is not None and self.ended.ending is Ending.CALLS
        calls = [_call(call, legacy) for call in self.calls] if whole else []
        return ChatMessage("assistant", (*([text] if text or not calls else []), *calls))


def _call(call: PartialCall, legacy: bool) -> ToolCall:
    return ToolCall("" if legacy else call.id, call.name, call.arguments)
