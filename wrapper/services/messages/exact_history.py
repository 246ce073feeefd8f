"""The arguments of past calls that the model gets in another form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wrapper.errors import InvalidRequest
from wrapper.json_text.precision import is_exact
from wrapper.services.messages.message import ChatMessage
from wrapper.services.messages.past_call import is_object
from wrapper.services.turn import ToolCall


def adapted_paths(
    messages: Iterable[ChatMessage],
    before: Iterable[ChatMessage] = (),
    *,
    changed: Iterable[str] = (),
    strict: bool,
) -> tuple[str, ...]:
    """Return the paths of what the model gets in another form.

    These are what was *changed* already, and those arguments in *messages* that JavaScript would
    change. Arguments from *before*, in the session, stand as session_id. Raises InvalidRequest for
    the first arguments if *strict*.
    """
    paths = ["session_id"] if any(_inexact_arguments(before)) else []
    paths += _inexact_arguments(messages)
    if paths and strict:
        raise InvalidRequest(
            f"{paths[0]}: the model would get numbers in it as texts, or be told the order of keys "
            "in a property of its own, which STRICT_PARAMS does not allow; send numbers that a "
            "double holds, and keys that are no numbers.",
            param=paths[0],
            code="unsupported_value",
        )
    return tuple(dict.fromkeys((*changed, *paths)))


def _inexact_arguments(messages: Iterable[ChatMessage]) -> Iterator[str]:
    for index, message in enumerate(messages):
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        for number, call in enumerate(calls):
            if is_object(call.arguments) and not is_exact(call.arguments):
                where = f"tool_calls.{number}.function" if call.id else "function_call"
                yield f"messages.{index}.{where}.arguments"
