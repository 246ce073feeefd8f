"""The transcript: what was said, written as the messages of OpenAI's API. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from wrapper.json_text import Json
from wrapper.services.messages.message import ChatMessage
from wrapper.services.turn import Document, Image, Part, ToolCall, ToolResult


def transcribe(message: ChatMessage) -> Json:
    """Return *message* as a client could send it again."""
    said: Json = {"role": message.role, "content": _content(message.parts)}
    if message.role == "tool":
        return {**said, "tool_call_id": message.answers}
    if message.role == "function":
        return {**said, "name": message.answers}
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    if told := [_call(call) for call in calls if call.id]:
        said["tool_calls"] = told
    if legacy := [_function(call) for call in calls if not call.id]:
        said["function_call"] = legacy[0]
    return said


def _content(parts: Sequence[Part]) -> Any:
    """Return a text where there is just one, None beside calls, or a list of parts."""
    told = [part for part in parts if not isinstance(part, ToolCall)]
    if parts and not told:
        return None
    if len(told) == 1 and isinstance(told[0], str):
        return told[0]
    return [_part(part) for part in told]


def _part(part: Part) -> Json:
    match part:
        case Image():
            url = part.url or f"data:{part.media_type};base64,{part.data}"
            return {"type": "image_url", "image_url": {"url": url}}
        case Document():
            return {"type": "file", "file": {"filename": part.title, "file_data": _file(part)}}
        case ToolResult():
            content = [_part(one) for one in part.parts]
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
