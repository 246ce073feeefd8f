"""The codec of sessions: messages and session infos as JSON, which reads back unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar, cast

from wrapper.json_text import Json
from wrapper.services.events import Ending
from wrapper.services.messages.message import ChatMessage
from wrapper.services.sessions.options import Options
from wrapper.services.sessions.session import Reply, SessionInfo
from wrapper.services.spent import Usage
from wrapper.services.tools.config import ToolConfig
from wrapper.services.turn import (
    THINKING,
    Document,
    Image,
    Part,
    RedactedThinking,
    SessionKey,
    Thinking,
    ToolCall,
    ToolResult,
)

Loaded = TypeVar("Loaded")

# The names of parts. A text is stored as it is, without a name.
KINDS = {
    "image": Image,
    "document": Document,
    "call": ToolCall,
    "thinking": Thinking,
    "redacted_thinking": RedactedThinking,
}
NAMES = {kind: name for name, kind in KINDS.items()}


class Unreadable(ValueError):
    """Raised for bytes that this codec has not written."""


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
    fields = asdict(head)
    for name in ("config", "approved"):
        if not getattr(head, name):  # earlier versions then read it, too
            del fields[name]
    if head.reply:
        fields["reply"]["ending"] = head.reply.ending.value
    return fields


def load_head(fields: Mapping[str, Any]) -> SessionInfo:
    """Raises KeyError, TypeError or ValueError for anything but the output of dump_head."""
    reply = fields["reply"]
    parts = {
        "key": SessionKey(**fields["key"]),
        "usage": Usage(**fields["usage"]),
        "reply": _load_reply(reply) if reply is not None else None,
        "options": Options(**_with_tuples(fields.get("options", {}))),
        "config": _load_config(fields.get("config")),
        "approved": tuple(fields.get("approved", ())),
    }
    return SessionInfo(**{**fields, **parts})


def dump_message(message: ChatMessage) -> Json:
    parts = [_dump_part(part) for part in message.parts if not isinstance(part, THINKING)]
    places = [at for at, part in enumerate(message.parts) if isinstance(part, THINKING)]
    rest: Json = {"dropped": list(message.dropped)} if message.dropped else {}
    if places:  # apart from the parts: earlier versions then read the message without thinking
        rest["thinking"] = [[at, _dump_part(message.parts[at])] for at in places]
    return {"role": message.role, "parts": parts, "answers": message.answers, **rest}


def load_message(fields: Mapping[str, Any]) -> ChatMessage:
    """Raises KeyError, TypeError or ValueError for anything but the output of dump_message."""
    parts = [_load_part(part) for part in fields["parts"]]
    for at, part in fields.get("thinking", ()):
        parts.insert(at, _load_part(part))
    dropped = tuple(fields.get("dropped", ()))
    return ChatMessage(fields["role"], tuple(parts), fields["answers"], dropped)


def measure(message: ChatMessage) -> int:
    """Return the bytes that *message* takes in a store."""
    return len(_encode(dump_message(message)))


def _encode(value: Any) -> bytes:
    # A model's text may contain lone surrogates, which json.loads also reads.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _decode(data: bytes, load: Callable[[Any], Loaded]) -> Loaded:
    try:
        return load(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None


def _load_messages(messages: Any) -> tuple[ChatMessage, ...]:
    if not isinstance(messages, list):
        raise TypeError("messages are a list")
    return tuple(map(load_message, messages))


def _load_reply(fields: Mapping[str, Any]) -> Reply:
    parts = {"ending": Ending(fields["ending"]), "usage": Usage(**fields["usage"])}
    return Reply(**{**fields, **parts})


def _load_config(fields: Mapping[str, Any] | None) -> ToolConfig | None:
    return None if fields is None else ToolConfig(**_with_tuples(fields))


def _with_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return *fields* with tuples in place of lists."""
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return {**fields, **lists}


def _dump_part(part: Part) -> Any:
    match part:
        case str():
            return part
        case ToolResult():
            return {"result": {"id": part.id, "parts": [_dump_part(inner) for inner in part.parts]}}
    # Whether a media type was corrected matters only to the request with the attachment.
    fields = {name: value for name, value in asdict(part).items() if name != "corrected"}
    if fields.get("server") == "":  # earlier versions then read it, too
        del fields["server"]
    return {NAMES[type(part)]: fields}


def _load_part(stored: Any) -> Part:
    if isinstance(stored, str):
        return stored
    ((kind, fields),) = stored.items()
    if kind == "result":
        parts = tuple(_load_part(part) for part in fields["parts"])
        return ToolResult(fields["id"], cast(tuple[str | Image | Document, ...], parts))
    return cast(Part, KINDS[kind](**fields))
