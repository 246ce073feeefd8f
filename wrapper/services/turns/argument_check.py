"""Check the arguments of calls against the schemas that the client wrote.

Only functions that are strict are checked, and those whose schema the model gets in another form.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wrapper.errors import ApiError
from wrapper.services.json_schema.validation import misfit
from wrapper.services.messages.reminders import reminder_of_arguments
from wrapper.services.turn import Function, OutputSchema, Reminder, ToolCall


@dataclass(frozen=True)
class MisfitCall:
    """A call whose arguments do not match the schema of its function, as the client wrote it.

    The `reminder` tells the model. Only a call of a strict function has one, since its client was
    promised arguments that match.
    """

    reminder: Reminder | None = None


def checks_calls(functions: Iterable[Function], *, strict: bool = False) -> bool:
    """Say whether calls of any of *functions* are checked; with *strict*, of any strict one."""
    return any(f.strict if strict else f.is_checked for f in functions)


def find_misfit(
    functions: Sequence[Function], calls: Iterable[ToolCall], param: str
) -> MisfitCall | None:
    """Return the first of *calls* that does not match its function's schema.

    A call whose check takes too long counts as one, without a reminder.
    """
    checked = {f.name: f for f in functions if f.is_checked}
    for call in calls:
        if function := checked.get(call.name):
            output_schema = OutputSchema(call.name, function.parameters, original=function.original)
            try:
                why = misfit(output_schema, call.arguments, param=param)
            except ApiError:
                return MisfitCall()
            if why is not None:
                return MisfitCall(
                    reminder_of_arguments(call.name, why) if function.strict else None
                )
    return None
