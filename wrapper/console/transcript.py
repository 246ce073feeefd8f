"""Messages as pages show them: texts, pictures, files and calls, all of them as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from wrapper.json_text import Json
from wrapper.json_text.encoding import encode

# Only what is in the message itself: a picture at an address would tell its owner who reads this.
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+")
SPEAKERS = {
    "user": "User",
    "assistant": "Assistant",
    "system": "System",
    "developer": "Developer",
    "tool": "Tool",
    "function": "Function",
}


@dataclass(frozen=True)
class Piece:
    """A piece of a message: `kind` is text, picture, file or call, and `title` names the latter."""

    kind: str
    text: str
    title: str = ""


@dataclass(frozen=True)
class Entry:
    """A message: who speaks, and its pieces."""

    role: str
    speaker: str
    pieces: tuple[Piece, ...]


def entries(messages: Iterable[Json]) -> list[Entry]:
    """Return *messages* of OpenAI's API as entries."""
    return [
        Entry(role, SPEAKERS.get(role, role), tuple(_pieces(message)))
        for message in messages
        for role in [str(message.get("role", ""))]
    ]


def _pieces(message: Json) -> Iterator[Piece]:
    content: Any = message.get("content")
    if isinstance(content, str):
        yield Piece("text", content)
    elif content:
        for part in content:
            yield _piece(part)
    calls = [call["function"] for call in message.get("tool_calls", ())]
    for function in (*calls, *filter(None, [message.get("function_call")])):
        yield Piece("call", str(function["arguments"]), str(function["name"]))


def _piece(part: Json) -> Piece:
    match part["type"]:
        case "text":
            return Piece("text", str(part["text"]))
        case "image_url":
            url = str(part["image_url"]["url"])
            return Piece("picture" if _PICTURE.fullmatch(url) else "text", url)
        case "file":
            return Piece("file", "", str(part["file"].get("filename") or "A file"))
    return Piece("call", encode(part["content"]), "Result")
