"""The history of a response: stored items, and those of its own input, as one conversation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from wrapper.errors import InvalidRequest
from wrapper.json_text import Json
from wrapper.services.fronts.responses import ResponseRequest
from wrapper.services.messages.items import Item, to_conversation, unpaired_call

# The path of items that earlier responses hold.
PREVIOUS = "previous_response_id"


def with_history(
    asked: ResponseRequest, before: Sequence[Item], own: Sequence[Item]
) -> ResponseRequest:
    """Return *asked* with the messages of the items *before* it and of its *own*.

    Raises InvalidRequest if a call has no output, or an output no call.
    """
    _check_calls(before, own)
    known, conversation = to_conversation(before), to_conversation(own)
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


def _check_calls(before: Sequence[Item], own: Sequence[Item]) -> None:
    mistake = unpaired_call((*before, *own))
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
