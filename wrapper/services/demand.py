"""The demand: what an answer must hold, and what of it may be passed on before that is known.

A model that thinks cannot be made to call a function or to answer in a shape. What might have to be
replaced is held back; nothing else is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from wrapper.errors import ApiError, BadAnswer
from wrapper.services.argument_check import checks_calls, find_misfit
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
from wrapper.services.reminders import corrected, reminder_of_call, reminder_of_shape
from wrapper.services.shapes import misfit
from wrapper.services.turn import Call, Message, Part, Reminder, Result, Shape, Turn, arguments_of

NOT_RUN = "This call was not run."
FENCED = re.compile(r"\s*```[a-zA-Z]*[ \t]*\r?\n(.*)\n[ \t]*```\s*", re.DOTALL)


@dataclass(frozen=True)
class Fault:
    """What an answer lacks: the parameter that asks for it, and the *reminder* that says so.

    Without a reminder it is not worth another request. With an *error* the answer is of no use.
    """

    param: str
    reminder: Reminder | None = None
    error: ApiError | None = None


def makes_demands(turn: Turn) -> bool:
    """Say whether the answers to *turn* have to be looked at."""
    calling = turn.calling
    one_call = bool(turn.functions and not calling.parallel)
    return turn.shape is not None or calling.demands or one_call or checks_calls(turn.functions)


@dataclass
class Attempt:
    """One answer to *turn*: what it says, what is held back of it, and what it lacks.

    *choice* is the parameter that says what is to be called. What is said is passed on at once
    where the answer *streams*, unless it might have to be replaced.
    """

    turn: Turn
    choice: str
    streams: bool
    ended: Ended | None = None
    used: Used = field(default_factory=lambda: Used({}))
    compacted: tuple[Message, ...] | None = None
    passed: bool = False  # whether anything that is part of the answer was
    called: int = 0
    used_tools: bool = False
    _dropped: bool = False
    _texts: list[str] = field(default_factory=list)
    _calls: dict[int, Call] = field(default_factory=dict)
    _numbers: dict[int, int] = field(default_factory=dict)  # of the calls that are passed on
    _held: list[Event] = field(default_factory=list)

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
        turn = self.turn
        if turn.calling.demands and not self.called:
            reminder = reminder_of_call(turn.functions, turn.calling)
            return Fault(self.choice, reminder)
        if ending is Ending.CALLS:
            return self._misfit_call()
        return _misfit(turn.shape, self._answer()) if turn.shape else None

    def may_be_replaced(self) -> bool:
        """Say whether another answer may take the place of this one.

        What an agent's tools have done must not be done again, and of an answer in a shape Claude
        Code itself asks an agent again.
        """
        agent = self.turn.profile == "agent"
        return not (self.passed or self.used_tools or (agent and self.turn.shape))

    def rest(self, fault: Fault | None) -> Iterator[Event]:
        """Yield what was held back, what the client is told of *fault*, and the end."""
        held, self._held = self._held, []
        if held and self.turn.shape and self.ended and self.ended.ending is Ending.DONE:
            held = [TextDelta(self._answer())]
        yield from held
        if self._dropped:
            yield Noted("x-adapted-params", "parallel_tool_calls")
        if fault and fault.error:
            yield Unfit(fault.error)
        elif fault:
            yield Noted("x-unmet-params", fault.param)
        if self.ended:
            yield self.ended

    def correction(self, reminder: Reminder) -> Turn:
        """Return the turn that asks for another answer: the conversation, this one, *reminder*."""
        text = "".join(self._texts)
        calls = [call for call in self._calls.values() if _is_whole(call)]
        said: tuple[Part, ...] = (*([text] if text.strip() else []), *calls)
        results = tuple(Result(call.id, (NOT_RUN,)) for call in calls)
        messages = self.compacted or self.turn.messages
        messages = corrected(messages, said, (*results, reminder))
        return replace(self.turn, messages=messages, compacts=False)

    def _add_text(self, event: TextDelta) -> list[Event]:
        self._texts.append(event.text)
        if self.passed:
            return [event]
        self._held.append(event)
        return self._release() if self._may_pass() else []

    def _may_pass(self) -> bool:
        """Say whether the text so far may be passed on, whatever it goes on with."""
        if not self.streams:
            return False
        calling, shape = self.turn.calling, self.turn.shape
        if calling.demands and not calling.forced:
            return False
        if shape is None:
            return True
        if shape.strict and not shape.forced:
            return False
        begun = next((one for text in self._texts if (one := text.lstrip())), "")
        return begun.startswith("{")

    def _release(self) -> list[Event]:
        """Return the texts held back; white space before an answer in a shape is no part of it."""
        self.passed = True
        held, self._held = self._held, []
        text = "".join(event.text for event in held if isinstance(event, TextDelta))
        text = text.lstrip() if self.turn.shape else text
        return [TextDelta(text)] if text else []

    def _begin_call(self, event: CallStarted) -> list[Event]:
        calling = self.turn.calling
        self._calls[event.index] = Call(event.id, event.name, "")
        if calling.mode == "one" and event.name != calling.name:
            if not self.called:
                self._held.append(event)
            return []
        if self.called and not calling.parallel:
            self._dropped = True
            return []
        number = self._numbers[event.index] = self.called
        self.called += 1
        return self._pass_call(replace(event, index=number))

    def _add_arguments(self, event: CallDelta) -> list[Event]:
        call = self._calls[event.index]
        self._calls[event.index] = replace(call, arguments=call.arguments + event.arguments)
        if event.index in self._numbers:
            return self._pass_call(replace(event, index=self._numbers[event.index]))
        if not self.called:
            self._held.append(event)
        return []

    def _pass_call(self, event: CallStarted | CallDelta) -> list[Event]:
        """Return *event* and what was held back before it; a call may have to be made again."""
        if checks_calls(self.turn.functions, strict=True):
            if isinstance(event, CallStarted) and self.called == 1:
                self._held = [one for one in self._held if isinstance(one, TextDelta)]
            self._held.append(event)
            return []
        return [*([] if self.passed else self._release()), event]

    def _misfit_call(self) -> Fault | None:
        param = "functions" if self.choice == "function_call" else "tools"
        calls = (self._calls[index] for index in self._numbers)
        found = find_misfit(self.turn.functions, calls, param)
        return Fault(param, found.reminder) if found else None

    def _answer(self) -> str:
        """Return the answer in a shape, without the fence and the white space around it."""
        text = "".join(self._texts)
        fenced = FENCED.fullmatch(text)
        return (fenced[1] if fenced else text).strip()


def _misfit(shape: Shape, text: str) -> Fault | None:
    """Return how *text* does not fit *shape*; it is of no use where it may not differ from it."""
    try:
        why = misfit(shape, text)
    except ApiError as error:  # whether it fits cannot be known
        return Fault("response_format", error=error)
    if why is None:
        return None
    if not shape.strict and _is_json(text):
        return Fault("response_format")
    what = f"The model's answer does not fit the schema {shape.name!r}: {why}"
    return Fault("response_format", reminder_of_shape(why), BadAnswer(what, retry=False))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_whole(call: Call) -> bool:
    try:
        arguments_of(call.arguments)
    except ValueError:
        return False
    return True
