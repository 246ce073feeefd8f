"""The header that names what of a conversation the model gets in another form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wrapper.errors import InvalidRequest
from wrapper.json_text.precision import is_exact
from wrapper.services.messages.message import ChatMessage
from wrapper.services.messages.past_call import is_object
from wrapper.services.turn import ToolCall

ADAPTED = "x-adapted-messages"
# A header should stay within what proxies take; of more paths only the number is told.
MOST_PATHS = 50


def tell_adapted(
    messages: Iterable[ChatMessage],
    before: Iterable[ChatMessage] = (),
    *,
    changed: Iterable[str] = (),
    strict: bool,
) -> dict[str, str]:
    """Return the header that names the arguments in *messages* that JavaScript would change.

    Those of what was said *before*, in the session, it names as session_id. It also names the
    paths of what is *changed* for another reason. Raises InvalidRequest
    for the first of them if *strict*.
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
    paths = list(dict.fromkeys((*changed, *paths)))
    more = [f"and {len(paths) - MOST_PATHS} more"] if len(paths) > MOST_PATHS else []
    return {ADAPTED: ", ".join((*paths[:MOST_PATHS], *more))} if paths else {}


def _inexact_arguments(messages: Iterable[ChatMessage]) -> Iterator[str]:
    for at, message in enumerate(messages):
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        for number, call in enumerate(calls):
            if is_object(call.arguments) and not is_exact(call.arguments):
                where = f"tool_calls.{number}.function" if call.id else "function_call"
                yield f"messages.{at}.{where}.arguments"
