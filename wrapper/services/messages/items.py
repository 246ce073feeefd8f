"""The items of the Responses API, and the messages that they make up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from wrapper.errors import RequestTooLarge
from wrapper.json_text import Json
from wrapper.services.messages.message import ChatMessage
from wrapper.services.messages.thinking_codec import expanded_size
from wrapper.services.turn import Approved, Part, ToolCall

# The names that parameters have in this API, by their names in chat completions.
NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "session_id": "previous_response_id",
}
# The characters that the thinking of a conversation may have, as many as a whole body has bytes.
MOST_THINKING = 32 * 1024 * 1024
_MESSAGE = re.compile(r"messages\.(\d+)\.(.+)")
_CALL = re.compile(r"tool_calls\.(\d+)(?:\.function)?\.(\w+)")
_PART = re.compile(r"content\.(\d+)(.*)")


@dataclass(frozen=True)
class Item:
    """What an item adds to the conversation. `path` is the item's own, as in `input.3`.

    A result names in `answers` the call that it answers. `part_paths` are those of its parts, and
    `id_field` is the field with the id of the call. A call that has run has its `output`; if the
    client approved it before, the item of that is the call, and `answers` names it.
    """

    path: str
    role: str
    parts: tuple[Part, ...]
    answers: str = ""
    part_paths: tuple[str, ...] = ()
    id_field: str = "call_id"
    output: str | None = None


@dataclass(frozen=True)
class ItemReference:
    """An item that stands for a stored one, by its id."""

    path: str
    id: str


@dataclass(frozen=True)
class InputItem:
    """An item as the client sent it, and what it adds: None where it is left out."""

    sent: Json
    added: Item | ItemReference | None


Added = TypeVar("Added", bound=Item | ItemReference | None)


def bound_thinking(items: Iterable[Added]) -> Iterator[Added]:
    """Yield what *items* add. A small text of `encrypted_content` may hold a thousand times more.

    Raises RequestTooLarge once their thinking has more than MOST_THINKING characters.
    """
    left = MOST_THINKING
    for item in items:
        if isinstance(item, Item):
            left -= expanded_size(item.parts)
            if left < 0:
                raise _too_much_thinking(item.path)
        yield item


def _too_much_thinking(path: str) -> RequestTooLarge:
    param = path if path == "previous_response_id" else f"{path}.encrypted_content"
    return RequestTooLarge(
        f"{param}: the thinking in the conversation's items has more than {MOST_THINKING:,} "
        "characters; begin a conversation with a summary of this one.",
        param=param,
    )


def rename(path: str) -> str:
    """Return the name in this API for a parameter of chat completions."""
    return NAMES.get(path, path)


@dataclass(frozen=True)
class Conversation:
    """The messages of an input, each with the items that it was made from."""

    messages: tuple[ChatMessage, ...]
    sources: tuple[tuple[Item, ...], ...]

    def locate(self, path: str) -> str:
        """Return the client's path of what has this *path* in a chat completion."""
        match = _MESSAGE.fullmatch(path)
        if match is None:
            return rename(path)
        number, rest = int(match[1]), match[2]
        if call := _CALL.fullmatch(rest):
            item = self._calls[number][int(call[1])]
            return f"{item.path}.{item.id_field if call[2] == 'id' else call[2]}"
        if part := _PART.fullmatch(rest):
            path = self._part_paths[number][int(part[1])]
            return f"{path}{part[2].replace('.image_url.url', '.image_url')}"
        first = self.sources[number][0]
        name = {"tool_call_id": first.id_field, "content": "output" if first.answers else "content"}
        return f"{first.path}.{name.get(rest, rest)}"

    # Thousands of paths may be located, so these are made once.
    @cached_property
    def _calls(self) -> list[list[Item]]:
        return [list(filter(_is_call, items)) for items in self.sources]

    @cached_property
    def _part_paths(self) -> list[list[str]]:
        return [[path for item in items for path in item.part_paths] for items in self.sources]


def to_conversation(items: Iterable[Item]) -> Conversation:
    """Return the conversation of *items*.

    Items of the assistant in a row are one message, with its calls at the end, since the model's
    API wants all calls of a message answered right after it.
    """
    groups = [tuple(group) for group in _groups(items)]
    return Conversation(tuple(map(_message, groups)), tuple(groups))


def with_outputs(items: Iterable[Item]) -> list[Item]:
    """Return *items* with the output of each call that has run as an item of its own.

    Where the client approved the call, the output stands in place of the approval.
    """
    items = list(items)
    calls = {part.id for item in items for part in item.parts if isinstance(part, ToolCall)}
    outputs = {item.answers: item.output for item in items if item.output is not None}
    settled: list[Item] = []
    for item in items:
        if item.output is None:
            output = outputs.get(item.answers) if _is_approved(item) else None
            settled.append(item if output is None else replace(item, parts=(output,)))
        elif item.answers not in calls:
            call_id = next(part.id for part in item.parts if isinstance(part, ToolCall))
            settled.append(replace(item, answers="", output=None))
            paths = (f"{item.path}.output",)
            settled.append(Item(item.path, "tool", (item.output,), call_id, paths))
    return settled


def unpaired_call(items: Sequence[Item]) -> Mapping[str, str] | None:
    """Return the mistake in how *items* pair calls with outputs, by its path, if there is one."""
    open_calls: dict[str, Item] = {}
    answered: set[str] = set()
    for item in items:
        for part in item.parts:
            if isinstance(part, ToolCall):
                if part.id in open_calls or part.id in answered:
                    name = item.id_field
                    return {f"{item.path}.{name}": f"Another call has the {name} {part.id!r}."}
                open_calls[part.id] = item
        if item.role == "tool":
            if item.answers not in open_calls:
                what = "Another output answers" if item.answers in answered else "No call has"
                path = f"{item.path}.{item.id_field}"
                return {path: f"{what} the {item.id_field} {item.answers!r}."}
            answered.add(item.answers)
            del open_calls[item.answers]
    if open_calls:
        call_id, item = next(iter(open_calls.items()))
        if item.id_field == "call_id":
            return {item.path: f"No output for the call {call_id!r} follows; send one."}
        why = f"No mcp_approval_response for the call {call_id!r} follows, and /v1/approvals"
        return {item.path: f"{why} has no decision on it; send one."}
    return None


def _is_approved(item: Item) -> bool:
    return any(isinstance(part, Approved) for part in item.parts)


def _groups(items: Iterable[Item]) -> Iterator[list[Item]]:
    group: list[Item] = []
    for item in items:
        if group and item.role == group[-1].role == "assistant":
            group.append(item)
            continue
        if group:
            yield group
        group = [item]
    if group:
        yield group


def _message(items: Sequence[Item]) -> ChatMessage:
    parts = [part for item in items for part in item.parts]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    spoken = [part for part in parts if not isinstance(part, ToolCall)]
    return ChatMessage(items[0].role, (*spoken, *calls), items[0].answers)


def _is_call(item: Item) -> bool:
    return any(isinstance(part, ToolCall) for part in item.parts)
