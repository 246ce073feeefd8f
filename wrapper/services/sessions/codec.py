"""The codec: what messages and sessions' heads are in JSON, to be kept and read back whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar, cast

from wrapper.json_text import Json
from wrapper.services.events import Ending, Usage
from wrapper.services.messages.message import ChatMessage
from wrapper.services.sessions.options import Options
from wrapper.services.sessions.session import Reply, SessionInfo
from wrapper.services.turn import Document, Image, Part, SessionKey, ToolCall, ToolResult

Found = TypeVar("Found")

# A text is just that, and needs no name.
KINDS = {"image": Image, "document": Document, "call": ToolCall}
NAMES = {kind: name for name, kind in KINDS.items()}


class Unreadable(ValueError):
    """Raised for bytes that were not written here."""


def encode_head(head: SessionInfo) -> bytes:
    return _encode(dump_head(head))


def decode_head(data: bytes) -> SessionInfo:
    """Raises Unreadable."""
    return _decode(data, load_head)


def encode_messages(messages: Sequence[ChatMessage]) -> bytes:
    return _encode([*map(dump_message, messages)])


def decode_messages(data: bytes) -> tuple[ChatMessage, ...]:
    """Raises Unreadable."""
    return _decode(data, _load_messages)


def dump_head(head: SessionInfo) -> Json:
    told = asdict(head)
    if head.reply:
        told["reply"]["ending"] = head.reply.ending.value
    return told


def load_head(told: Mapping[str, Any]) -> SessionInfo:
    """Raises KeyError, TypeError or ValueError for what dump_head has not written."""
    reply = told["reply"]
    parts = {
        "key": SessionKey(**told["key"]),
        "usage": Usage(**told["usage"]),
        "reply": _load_reply(reply) if reply is not None else None,
        "options": _load_options(told.get("options", {})),
    }
    return SessionInfo(**{**told, **parts})


def dump_message(message: ChatMessage) -> Json:
    parts = [_dump_part(part) for part in message.parts]
    dropped = {"dropped": list(message.dropped)} if message.dropped else {}
    return {"role": message.role, "parts": parts, "answers": message.answers, **dropped}


def load_message(told: Mapping[str, Any]) -> ChatMessage:
    """Raises KeyError, TypeError or ValueError for what dump_message has not written."""
    parts = tuple(_load_part(part) for part in told["parts"])
    return ChatMessage(told["role"], parts, told["answers"], tuple(told.get("dropped", ())))


def measure(message: ChatMessage) -> int:
    """Return the bytes that *message* takes where it is kept."""
    return len(_encode(dump_message(message)))


def _encode(told: Any) -> bytes:
    # What a model writes may hold half a letter, which json.loads reads back as well.
    return json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _decode(data: bytes, load: Callable[[Any], Found]) -> Found:
    try:
        return load(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None


def _load_messages(told: Any) -> tuple[ChatMessage, ...]:
    if not isinstance(told, list):
        raise TypeError("messages are a list")
    return tuple(map(load_message, told))


def _load_reply(told: Mapping[str, Any]) -> Reply:
    parts = {"ending": Ending(told["ending"]), "usage": Usage(**told["usage"])}
    return Reply(**{**told, **parts})


def _load_options(told: Mapping[str, Any]) -> Options:
    lists = {name: tuple(value) for name, value in told.items() if isinstance(value, list)}
    return Options(**{**told, **lists})


def _dump_part(part: Part) -> Any:
    match part:
        case str():
            return part
        case ToolResult():
            return {"result": {"id": part.id, "parts": [_dump_part(one) for one in part.parts]}}
    # How a caller labelled an attachment matters only to the request that brought it.
    fields = {name: value for name, value in asdict(part).items() if name != "corrected"}
    return {NAMES[type(part)]: fields}


def _load_part(told: Any) -> Part:
    if isinstance(told, str):
        return told
    ((kind, fields),) = told.items()
    if kind == "result":
        held = tuple(_load_part(one) for one in fields["parts"])
        return ToolResult(fields["id"], cast(tuple[str | Image, ...], held))
    return cast(Part, KINDS[kind](**fields))
