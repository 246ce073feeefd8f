"""Omissions: content of a message for which the model's API has no form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import fields

AUDIO_FIELD = fields.Raw(
    allow_none=True,
    metadata={
        "description": "An earlier spoken answer. If the content is null, the model gets the "
        "transcript. The sound is omitted and named in x-adapted-messages."
    },
)


def transcript_of(audio: Any) -> str | None:
    """Return the transcript in *audio*, if it has one."""
    text = audio.get("transcript") if isinstance(audio, Mapping) else None
    return text if isinstance(text, str) else None


def omissions_of(message: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of the content in *message*, a valid one, that the model does not get."""
    sound = ("audio",) if message.get("audio") is not None else ()
    content = message.get("content")
    parts = enumerate(content) if isinstance(content, list) else ()
    inner = (f"content.{index}.{key}" for index, part in parts for key in _omitted_keys(part))
    return (*sound, *inner)


def _omitted_keys(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of Anthropic's that would inform the model and are not sent to it."""
    if part["type"] == "tool_result" and part.get("is_error"):
        yield "is_error"
    if part["type"] == "document":
        if part.get("context"):
            yield "context"
        citations = part.get("citations")
        if isinstance(citations, Mapping) and citations.get("enabled"):
            yield "citations"
