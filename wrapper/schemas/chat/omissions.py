"""The omissions: what a message holds that has no form in the model's API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import fields

AUDIO = fields.Raw(
    allow_none=True,
    metadata={
        "description": "What an earlier answer said. The model gets its transcript, if there is "
        "one and the content is null; the sound is left out, and named in x-adapted-messages."
    },
)


def transcript_of(audio: Any) -> str | None:
    """Return the text of an answer in *audio*, if it has one."""
    text = audio.get("transcript") if isinstance(audio, Mapping) else None
    return text if isinstance(text, str) else None


def omissions_of(message: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of what the model does not get of *message*, a valid one."""
    sound = ("audio",) if message.get("audio") is not None else ()
    content = message.get("content")
    parts = enumerate(content) if isinstance(content, list) else ()
    inner = (f"content.{at}.{key}" for at, part in parts for key in _omitted_keys(part))
    return (*sound, *inner)


def _omitted_keys(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of Anthropic's that say something to the model, and that it does not get."""
    if part["type"] == "tool_result" and part.get("is_error"):
        yield "is_error"
    if part["type"] == "document":
        if part.get("context"):
            yield "context"
        citations = part.get("citations")
        if isinstance(citations, Mapping) and citations.get("enabled"):
            yield "citations"
