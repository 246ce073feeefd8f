"""The history of a response: stored items, and those of its own input, as one conversation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from wrapper.errors import InvalidRequest
from wrapper.json_text import Json
from wrapper.services.fronts.responses import ResponseRequest
from wrapper.services.messages.items import (
    Conversation,
    Item,
    to_conversation,
    unpaired_call,
    with_outputs,
)

# The path of items that earlier responses hold.
PREVIOUS = "previous_response_id"


def with_history(
    asked: ResponseRequest, before: Iterable[Item], own: Iterable[Item]
) -> ResponseRequest:
    """Return *asked* with the messages of the items *before* it and of its *own*.

    Raises InvalidRequest if a call has no output, or an output no call.
    """
    items = with_outputs((*before, *own))
    _check_calls(items)
    known, conversation = _split(items)
    request = asked.request
    return replace(
        asked,
        request=replace(
            request,
            messages=(*request.messages, *known.messages, *conversation.messages),
            unlisted=request.unlisted + len(known.messages),
        ),
        locate=conversation.locate,
    )


def as_kept(items: Iterable[Json], token: str) -> Iterator[Json]:
    """Yield the *items* of an input as they are kept: with an id, and messages with parts."""
    for index, item in enumerate(items):
        if not isinstance(item.get("id"), str):
            item = {"id": f"in_{token}_{index}", **item}
        if item.get("type") in (None, "message"):
            item = {**item, "type": "message", "content": _parts(item)}
        yield item


def _split(items: Sequence[Item]) -> tuple[Conversation, Conversation]:
    """Return the conversation of what earlier responses hold, and that of the input."""
    known = sum(item.path.startswith(PREVIOUS) for item in items)
    return to_conversation(items[:known]), to_conversation(items[known:])


def _check_calls(items: Sequence[Item]) -> None:
    mistake = unpaired_call(items)
    if mistake is None:
        return
    ((path, message),) = mistake.items()
    param = "input" if path.startswith(PREVIOUS) else path
    raise InvalidRequest(f"{param}: {message}", param=param, code="invalid_value")


def _parts(message: Json) -> object:
    """Return the content of a message as parts."""
    content = message.get("content")
    if not isinstance(content, str):
        return content
    kind = "output_text" if message.get("role") == "assistant" else "input_text"
    return [{"type": kind, "text": content}]
