"""The codec: what messages and sessions' heads are in JSON, to be kept and read back whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from wrapper.services.messages import ChatMessage
from wrapper.services.turn import Call, Document, Image, Part, Result

Json = dict[str, Any]

# A text is just that, and needs no name.
KINDS = {"image": Image, "document": Document, "call": Call}


def dump_message(message: ChatMessage) -> Json:
    parts = [_dump_part(part) for part in message.parts]
    return {"role": message.role, "parts": parts, "answers": message.answers}


def load_message(told: Mapping[str, Any]) -> ChatMessage:
    """Raises KeyError, TypeError or ValueError for what dump_message has not written."""
    parts = tuple(_load_part(part) for part in told["parts"])
    return ChatMessage(told["role"], parts, told["answers"])


def measure(message: ChatMessage) -> int:
    """Return the bytes that *message* takes where it is kept."""
    return len(json.dumps(dump_message(message), ensure_ascii=False).encode())


def _dump_part(part: Part) -> Any:
    match part:
        case str():
            return part
        case Result():
            return {"result": {"id": part.id, "parts": [_dump_part(one) for one in part.parts]}}
    return {type(part).__name__.lower(): asdict(part)}


def _load_part(told: Any) -> Part:
    if isinstance(told, str):
        return told
    ((kind, fields),) = told.items()
    if kind == "result":
        held = tuple(_load_part(one) for one in fields["parts"])
        return Result(fields["id"], cast(tuple[str | Image, ...], held))
    return cast(Part, KINDS[kind](**fields))
