"""The answer: collects the events of a turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Compacted,
    Ended,
    Ending,
    Event,
    RedactedThought,
    Started,
    TextDelta,
    Thought,
    ToolUse,
    Unfit,
)
from wrapper.services.messages.message import ChatMessage
from wrapper.services.turn import THINKING, Message, Part, RedactedThinking, Thinking, ToolCall


@dataclass
class PartialCall:
    """A call whose arguments still come in."""

    id: str
    name: str
    arguments: str = ""


@dataclass
class PartialText:
    """A text that still comes in."""

    pieces: list[str]

    @property
    def whole(self) -> str:
        return "".join(self.pieces)


@dataclass
class Answer:
    """The answer that a turn's events add up to.

    It has the thinking blocks that belong to its calls. Those before an agent's own tools do not.
    """

    model: str = ""
    resumed: bool = False
    calls: list[PartialCall] = field(default_factory=list)
    ended: Ended | None = None
    compacted: tuple[Message, ...] | None = None
    unfit: Unfit | None = None
    _parts: list[PartialText | PartialCall | Thinking | RedactedThinking] = field(
        default_factory=list
    )

    @property
    def text(self) -> str:
        return "".join(part.whole for part in self._parts if isinstance(part, PartialText))

    @property
    def thinks(self) -> bool:
        """Say whether the answer has thinking blocks."""
        return any(isinstance(part, THINKING) for part in self._parts)

    def parts(self, *, legacy: bool = False) -> Iterator[Part]:
        """Yield the parts in the order in which they came, with *legacy* calls without an id."""
        for part in self._parts:
            match part:
                case PartialText():
                    yield part.whole
                case PartialCall():
                    yield _call(part, legacy)
                case _:
                    yield part

    def add(self, event: Event) -> None:
        """Add *event*. Raises BadAnswer where the turn ends with an answer that cannot be used."""
        match event:
            case Started():
                self.model, self.resumed = event.model, event.resumed
            case Compacted():
                self.compacted = event.messages
            case Unfit():
                self.unfit = event
            case Ended():
                self.ended = event
                if self.unfit:
                    raise self.unfit.error
            case _:
                self._add_part(event)

    def message(self, *, legacy: bool) -> ChatMessage:
        """Return the answer as a client sends it back, with a *legacy* call without an id.

        Calls that the model did not finish are left out, and thinking blocks without calls. If
        there are such blocks everything keeps its order, as their signatures demand.
        """
        text = self.text
        whole = self.ended is not None and self.ended.ending is Ending.CALLS
        if whole and self.thinks:
            return ChatMessage(
                "assistant", tuple(part for part in self.parts(legacy=legacy) if part)
            )
        calls = [_call(call, legacy) for call in self.calls] if whole else []
        return ChatMessage("assistant", (*([text] if text or not calls else []), *calls))

    def _add_part(self, event: Event) -> None:
        match event:
            case TextDelta():
                self._add_text(event.text)
            case Thought():
                self._parts.append(Thinking(event.text, event.signature, event.prefix))
            case RedactedThought():
                self._parts.append(RedactedThinking(event.data, event.prefix))
            case ToolUse():
                self._parts = [part for part in self._parts if not isinstance(part, THINKING)]
            case CallStarted():
                self.calls.append(PartialCall(event.id, event.name))
                self._parts.append(self.calls[-1])
            case CallDelta():
                self.calls[event.index].arguments += event.arguments

    def _add_text(self, text: str) -> None:
        last = self._parts[-1] if self._parts else None
        if isinstance(last, PartialText):
            last.pieces.append(text)
        else:
            self._parts.append(PartialText([text]))


def _call(call: PartialCall, legacy: bool) -> ToolCall:
    return ToolCall("" if legacy else call.id, call.name, call.arguments)
