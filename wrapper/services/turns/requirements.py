"""What the answer to a turn must hold, and the faults of an answer that does not hold it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from wrapper.errors import ApiError, BadAnswer
from wrapper.services.json_schema.validation import misfit
from wrapper.services.messages.reminders import reminder_of_call, reminder_of_schema
from wrapper.services.turn import OutputSchema, Reminder, ToolCall, Turn
from wrapper.services.turns.argument_check import checks_calls, find_misfit

# The parameter with the functions, by the parameter that chooses among them.
FUNCTIONS = {"tool_choice": "tools", "function_call": "functions"}


@dataclass(frozen=True)
class Fault:
    """What is wrong with an answer: the parameter that it does not meet.

    The `reminder` tells the model; without one the fault is not worth another request. With an
    `error` the client cannot use the answer, and gets the error.
    """

    param: str
    reminder: Reminder | None = None
    error: ApiError | None = None


def makes_demands(turn: Turn) -> bool:
    """Say whether the answers to *turn* have to be checked."""
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
    """Return the fault of *calls* if the arguments of one do not match its function's schema."""
    param = FUNCTIONS[choice]
    bad_call = find_misfit(turn.functions, calls, param)
    return Fault(param, bad_call.reminder) if bad_call else None


def misfit_answer(output_schema: OutputSchema, text: str) -> Fault | None:
    """Return the fault of *text* if it is no JSON, or does not fit its *output_schema*."""
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
