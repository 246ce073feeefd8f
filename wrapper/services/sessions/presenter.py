"""Write a session's messages as messages of OpenAI's API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from wrapper.json_text import Json
from wrapper.services.messages.message import ChatMessage
from wrapper.services.turn import THINKING, Document, Image, Part, ToolCall, ToolResult


def transcribe(message: ChatMessage) -> Json:
    """Return *message* as a client could send it again."""
    written: Json = {"role": message.role, "content": _content(message.parts)}
    if message.role == "tool":
        return {**written, "tool_call_id": message.answers}
    if message.role == "function":
        return {**written, "name": message.answers}
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    if tool_calls := [_call(call) for call in calls if call.id]:
        written["tool_calls"] = tool_calls
    if legacy := [_function(call) for call in calls if not call.id]:
        written["function_call"] = legacy[0]
    return written


def _content(parts: Sequence[Part]) -> Any:
    """Return a single text, None where there are only calls, or else a list of parts."""
    content = [part for part in parts if not isinstance(part, (ToolCall, *THINKING))]
    if parts and not content:
        return None
    if any(isinstance(part, THINKING) for part in parts):  # which divides the text of an answer
        return "".join(map(str, content))
    if len(content) == 1 and isinstance(content[0], str):
        return content[0]
    return [_part(part) for part in content]


def _part(part: Part) -> Json:
    match part:
        case Image():
            url = part.url or f"data:{part.media_type};base64,{part.data}"
            return {"type": "image_url", "image_url": {"url": url}}
        case Document():
            return {"type": "file", "file": {"filename": part.title, "file_data": _file(part)}}
        case ToolResult():
            content = [_part(inner) for inner in part.parts]
            return {"type": "tool_result", "tool_use_id": part.id, "content": content}
    return {"type": "text", "text": part}


def _file(document: Document) -> str:
    if document.media_type != "text/plain":
        return f"data:{document.media_type};base64,{document.data}"
    return f"data:text/plain;charset=utf-8,{quote(document.data)}"


def _call(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": _function(call)}


def _function(call: ToolCall) -> Json:
    return {"name": call.name, "arguments": call.arguments}
