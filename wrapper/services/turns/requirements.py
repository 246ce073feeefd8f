"""The demand: what the answer to a turn must hold, and what one that does not hold it lacks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from wrapper.errors import ApiError, BadAnswer
from wrapper.services.json_schema.validation import misfit
from wrapper.services.messages.reminders import reminder_of_call, reminder_of_schema
from wrapper.services.turn import OutputSchema, Reminder, ToolCall, Turn
from wrapper.services.turns.argument_check import checks_calls, find_misfit

# The parameter that functions come in, by the one that chooses among them.
FUNCTIONS = {"tool_choice": "tools", "function_call": "functions"}


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
    tool_choice = turn.tool_choice
    one_call = bool(turn.functions and not tool_choice.parallel)
    return (
        turn.output_schema is not None
        or tool_choice.demands
        or one_call
        or checks_calls(turn.functions)
    )


def missing_call(turn: Turn, choice: str) -> Fault:
    """Return the fault of an answer without the call that the parameter *choice* demands."""
    return Fault(choice, reminder_of_call(turn.functions, turn.tool_choice))


def misfit_call(turn: Turn, calls: Iterable[ToolCall], choice: str) -> Fault | None:
    """Return the fault of *calls* with arguments that their function does not take, if any."""
    param = FUNCTIONS[choice]
    found = find_misfit(turn.functions, calls, param)
    return Fault(param, found.reminder) if found else None


def misfit_answer(output_schema: OutputSchema, text: str) -> Fault | None:
    """Return the fault of *text*: no JSON, or against an *output_schema* that it must fit."""
    try:
        why = misfit(output_schema, text)
    except ApiError as error:  # whether it fits cannot be known
        return Fault("response_format", error=error)
    if why is None:
        return None
    if not output_schema.strict and _is_json(text):
        return Fault("response_format")
    what = f"The model's answer does not fit the schema {output_schema.name!r}: {why}"
    return Fault("response_format", reminder_of_schema(why), BadAnswer(what, retry=False))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
