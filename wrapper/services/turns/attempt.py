"""One answer to a turn, of which the parts that might have to be replaced are held back.

A model that thinks cannot be forced to call a function or to answer in a given form, so its answer
may have to be replaced by another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from wrapper.notes import Notes
from wrapper.services.events import (
    ApprovedCallRan,
    CallDelta,
    CallStarted,
    Compacted,
    Ended,
    Ending,
    Event,
    Noted,
    RedactedThought,
    TextDelta,
    Thought,
    ToolUse,
    Unfit,
    Used,
)
from wrapper.services.messages.answer import Answer
from wrapper.services.messages.past_call import is_object
from wrapper.services.messages.reminders import corrected
from wrapper.services.turn import Message, Part, Reminder, ToolCall, ToolResult, Turn
from wrapper.services.turns.argument_check import checks_calls
from wrapper.services.turns.requirements import Fault, misfit_answer, misfit_call, missing_call

NOT_RUN = "This call was not run."
FENCED = re.compile(r"\s*```[a-zA-Z]*[ \t]*\r?\n(.*)\n[ \t]*```\s*", re.DOTALL)


@dataclass
class _PartialCall:
    """A call while it comes in. The client gets it under its *number*, or not at all."""

    id: str
    name: str
    number: int | None = None
    pieces: list[str] = field(default_factory=list)

    def whole(self) -> ToolCall:
        return ToolCall(self.id, self.name, "".join(self.pieces))


@dataclass
class Attempt:
    """One answer to *turn*: its parts, those that are held back, and what is wrong with it.

    *choice* is the parameter that chooses among functions. If the answer *streams*, text is passed
    on at once, unless it might have to be replaced. A *later* attempt follows one whose text was
    passed on already, so only its calls are wanted.
    """

    turn: Turn
    choice: str
    streams: bool
    later: bool = False
    ended: Ended | None = None
    used: Used = field(default_factory=lambda: Used({}))
    compacted: tuple[Message, ...] | None = None
    spoke: bool = False  # whether text was passed on
    called: bool = False  # whether a call was passed on
    used_tools: bool = False
    _answering: Turn = field(init=False)  # the turn, or that of the fallback which answers
    _fallbacks_left: Iterator[Turn] = field(init=False)
    _holds_calls: bool = field(init=False)
    _wanted: int = 0
    _dropped: bool = False
    _whole: Answer = field(default_factory=Answer)
    _texts: list[str] = field(default_factory=list)
    _calls: dict[int, _PartialCall] = field(default_factory=dict)
    _held: list[Event] = field(default_factory=list)
    _unwanted: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._answering = self.turn
        self._fallbacks_left = iter([other for other, _ in self.turn.fallbacks])
        self._holds_calls = checks_calls(self.turn.functions, strict=True)

    def add(self, event: Event) -> list[Event]:
        """Add *event*, and return the events that may be passed on now."""
        self._whole.add(event)
        match event:
            case TextDelta():
                return self._add_text(event)
            case Thought() | RedactedThought() if self._held:
                self._held.append(event)
                return []
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
            case Noted() if event.notes.failed_models:
                self._answering = next(self._fallbacks_left, self._answering)
            case ToolUse() | ApprovedCallRan():
                self.used_tools = True
        return [event]

    def fault(self) -> Fault | None:
        """Return what is wrong with the answer. One that was cut short or refused has no fault."""
        ending = self.ended.ending if self.ended else None
        if ending not in (Ending.DONE, Ending.CALLS):
            return None
        if self.turn.tool_choice.demands and not self._wanted:
            return missing_call(self.turn, self.choice)
        if ending is Ending.CALLS:
            calls = (call.whole() for call in self._calls.values() if call.number is not None)
            return misfit_call(self.turn, calls, self.choice)
        schema = self.turn.output_schema
        return misfit_answer(schema, self._answer()) if schema else None

    def may_be_replaced(self) -> bool:
        """Say whether another answer may replace this one, or follow its text.

        An agent's tools must not do their work again. If an agent's answer does not fit its
        schema, Claude Code itself asks the model again.
        """
        if self.called or self.used_tools or (self.spoke and not self._wanted):
            return False
        return self.turn.profile != "agent" or self.turn.output_schema is None

    def rest(self, fault: Fault | None) -> Iterator[Event]:
        """Yield what was held back, a note or an error about *fault*, and the end."""
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
        """Return a turn for another answer: the conversation, this answer, and *reminder*.

        Its fallbacks get them, too: one of them may have given this answer.
        """
        answer = tuple(part for part in self._whole.parts() if _is_sound(part))
        calls = [part for part in answer if isinstance(part, ToolCall)]
        if not calls:
            answer = tuple(part for part in answer if isinstance(part, str))
        results = tuple(ToolResult(call.id, (NOT_RUN,)) for call in calls)

        def corrects(turn: Turn) -> Turn:
            messages = self.compacted or turn.messages
            messages = corrected(messages, answer, (*results, reminder))
            return replace(turn, messages=messages, compacts=False)

        fallbacks = tuple((corrects(other), notes) for other, notes in self.turn.fallbacks)
        return replace(corrects(self.turn), fallbacks=fallbacks)

    def _add_text(self, event: TextDelta) -> list[Event]:
        self._texts.append(event.text)
        if self.spoke or self.called:
            return [] if self.later else [event]
        self._held.append(event)
        return self._release() if self._may_speak() else []

    def _may_speak(self) -> bool:
        """Say whether the text so far may be passed on, however it continues."""
        if self.later or not self.streams:
            return False
        # What one model can be made to do, its fallback may only be asked to do.
        tool_choice, output_schema = self._answering.tool_choice, self._answering.output_schema
        if tool_choice.demands and not tool_choice.forced:
            return False
        if output_schema is None:
            return True
        if output_schema.strict and not output_schema.forced:
            return False
        begun = next((begun for text in self._texts if (begun := text.lstrip())), "")
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
        """Return *event*, a part of a wanted call, after what was held back before it."""
        if self._holds_calls:
            self._held.append(event)
            return []
        self.called = True
        return [*self._release(), event] if self._held else [event]

    def _release(self) -> list[Event]:
        """Return what was held back: the text in one piece, and then the calls."""
        held, self._held = self._held, []
        text = "".join(event.text for event in held if isinstance(event, TextDelta))
        if self.turn.output_schema and self.ended and self.ended.ending is Ending.DONE:
            text = self._answer() if held else ""
        elif self.turn.output_schema:
            text = text.lstrip()  # white space before JSON is no part of the answer
        if self.later and text:
            text = "" if self._wanted else f"\n\n{text}"
        self.spoke = self.spoke or bool(text)
        calls = [event for event in held if not isinstance(event, TextDelta)]
        return [*([TextDelta(text)] if text else []), *calls]

    def _answer(self) -> str:
        """Return the JSON of the answer, without the fence and the white space around it."""
        text = "".join(self._texts)
        fenced = FENCED.fullmatch(text)
        return (fenced[1] if fenced else text).strip()


def _numbered(event: CallStarted | CallDelta, number: int) -> CallStarted | CallDelta:
    return event if event.index == number else replace(event, index=number)


def _is_sound(part: Part) -> bool:
    """Say whether the model's API takes *part* back."""
    if isinstance(part, str):
        return bool(part.strip())
    return is_object(part.arguments) if isinstance(part, ToolCall) else True
