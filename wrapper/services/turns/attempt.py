"""The attempt: one answer to a turn, of which what might have to be replaced is held back.

A model that thinks cannot be made to call a function or to answer in a shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from wrapper.notes import Notes
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Compacted,
    Ended,
    Ending,
    Event,
    Noted,
    TextDelta,
    ToolUse,
    Unfit,
    Used,
)
from wrapper.services.messages.reminders import corrected
from wrapper.services.turn import Message, Part, Reminder, ToolCall, ToolResult, Turn, arguments_of
from wrapper.services.turns.argument_check import checks_calls
from wrapper.services.turns.requirements import Fault, misfit_answer, misfit_call, missing_call

NOT_RUN = "This call was not run."
FENCED = re.compile(r"\s*```[a-zA-Z]*[ \t]*\r?\n(.*)\n[ \t]*```\s*", re.DOTALL)


@dataclass
class _PartialCall:
    """A call as it comes in. It is passed on by its *number*, or not at all."""

    id: str
    name: str
    number: int | None = None
    pieces: list[str] = field(default_factory=list)

    def whole(self) -> ToolCall:
        return ToolCall(self.id, self.name, "".join(self.pieces))


@dataclass
class Attempt:
    """One answer to *turn*: what it says, what is held back of it, and what it lacks.

    *choice* is the parameter that says what is to be called. What is said is passed on at once
    where the answer *streams*, unless it might have to be replaced. A *later* attempt is one whose
    predecessor has had its text passed on, so that only its calls are wanted.
    """

    turn: Turn
    choice: str
    streams: bool
    later: bool = False
    ended: Ended | None = None
    used: Used = field(default_factory=lambda: Used({}))
    compacted: tuple[Message, ...] | None = None
    spoke: bool = False  # whether any text was passed on
    called: bool = False  # whether any call was
    used_tools: bool = False
    _holds_calls: bool = field(init=False)
    _wanted: int = 0
    _dropped: bool = False
    _texts: list[str] = field(default_factory=list)
    _calls: dict[int, _PartialCall] = field(default_factory=dict)
    _held: list[Event] = field(default_factory=list)
    _unwanted: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._holds_calls = checks_calls(self.turn.functions, strict=True)

    def add(self, event: Event) -> list[Event]:
        """Return what may be passed on, now that *event* has come."""
        match event:
            case TextDelta():
                return self._add_text(event)
            case CallStarted():
                return self._begin_call(event)
            case CallDelta():
                return self._add_arguments(event)
            case Ended():
                self.ended = event
                return []
            case Used():
                self.used = event
            case Compacted():
                self.compacted = event.messages
            case ToolUse():
                self.used_tools = True
        return [event]

    def fault(self) -> Fault | None:
        """Return what the answer lacks; one that was cut short or refused lacks nothing."""
        ending = self.ended.ending if self.ended else None
        if ending not in (Ending.DONE, Ending.CALLS):
            return None
        if self.turn.tool_choice.demands and not self._wanted:
            return missing_call(self.turn, self.choice)
        if ending is Ending.CALLS:
            calls = (one.whole() for one in self._calls.values() if one.number is not None)
            return misfit_call(self.turn, calls, self.choice)
        return (
            misfit_answer(self.turn.output_schema, self._answer())
            if self.turn.output_schema
            else None
        )

    def may_be_replaced(self) -> bool:
        """Say whether another answer may take the place of this one, or follow its text.

        What an agent's tools have done must not be done again, and of an answer in a shape Claude
        Code itself asks an agent again.
        """
        if self.called or self.used_tools or (self.spoke and not self._wanted):
            return False
        return self.turn.profile != "agent" or self.turn.output_schema is None

    def rest(self, fault: Fault | None) -> Iterator[Event]:
        """Yield what was held back, what the client is told of *fault*, and the end."""
        yield from self._release()
        if not self._wanted:
            yield from self._unwanted
        if self._dropped:
            yield Noted(Notes(adapted_params=("parallel_tool_calls",)))
        if fault and fault.error:
            yield Unfit(fault.error)
        elif fault:
            yield Noted(Notes(unmet_params=(fault.param,)))
        if self.ended:
            yield self.ended

    def correction(self, reminder: Reminder) -> Turn:
        """Return the turn that asks for another answer: the conversation, this one, *reminder*."""
        text = "".join(self._texts)
        calls = [call for one in self._calls.values() if _is_sound(call := one.whole())]
        said: tuple[Part, ...] = (*([text] if text.strip() else []), *calls)
        results = tuple(ToolResult(call.id, (NOT_RUN,)) for call in calls)
        messages = self.compacted or self.turn.messages
        messages = corrected(messages, said, (*results, reminder))
        return replace(self.turn, messages=messages, compacts=False)

    def _add_text(self, event: TextDelta) -> list[Event]:
        self._texts.append(event.text)
        if self.spoke or self.called:
            return [] if self.later else [event]
        self._held.append(event)
        return self._release() if self._may_speak() else []

    def _may_speak(self) -> bool:
        """Say whether the text so far may be passed on, whatever it goes on with."""
        if self.later or not self.streams:
            return False
        tool_choice, output_schema = self.turn.tool_choice, self.turn.output_schema
        if tool_choice.demands and not tool_choice.forced:
            return False
        if output_schema is None:
            return True
        if output_schema.strict and not output_schema.forced:
            return False
        begun = next((one for text in self._texts if (one := text.lstrip())), "")
        return begun.startswith("{")

    def _begin_call(self, event: CallStarted) -> list[Event]:
        tool_choice = self.turn.tool_choice
        call = self._calls[event.index] = _PartialCall(event.id, event.name)
        if tool_choice.mode == "one" and event.name != tool_choice.name:
            self._unwanted.append(event)
            return []
        if self._wanted and not tool_choice.parallel:
            self._dropped = True
            return []
        call.number = self._wanted
        self._wanted += 1
        return self._pass(_numbered(event, call.number))

    def _add_arguments(self, event: CallDelta) -> list[Event]:
        call = self._calls[event.index]
        call.pieces.append(event.arguments)
        if call.number is not None:
            return self._pass(_numbered(event, call.number))
        self._unwanted.append(event)
        return []

    def _pass(self, event: Event) -> list[Event]:
        """Return a part of a call that is wanted, and what was held back before it."""
        if self._holds_calls:
            self._held.append(event)
            return []
        self.called = True
        return [*self._release(), event] if self._held else [event]

    def _release(self) -> list[Event]:
        """Return what was held back: its text in one piece, and then its calls."""
        held, self._held = self._held, []
        text = "".join(event.text for event in held if isinstance(event, TextDelta))
        if self.turn.output_schema and self.ended and self.ended.ending is Ending.DONE:
            text = self._answer() if held else ""
        elif self.turn.output_schema:
            text = text.lstrip()  # white space before an answer in a shape is no part of it
        if self.later and text:
            text = "" if self._wanted else f"\n\n{text}"
        self.spoke = self.spoke or bool(text)
        calls = [event for event in held if not isinstance(event, TextDelta)]
        return [*([TextDelta(text)] if text else []), *calls]

    def _answer(self) -> str:
        """Return the answer in a shape, without the fence and the white space around it."""
        text = "".join(self._texts)
        fenced = FENCED.fullmatch(text)
        return (fenced[1] if fenced else text).strip()


def _numbered(event: CallStarted | CallDelta, number: int) -> CallStarted | CallDelta:
    return event if event.index == number else replace(event, index=number)


def _is_sound(call: ToolCall) -> bool:
    try:
        arguments_of(call.arguments)
    except ValueError:
        return False
    return True
