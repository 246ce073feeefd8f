"""The parts of a message's content: each kind is loaded to a part of a turn."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError

from wrapper.json_text import Json
from wrapper.json_text.precision import write_exact
from wrapper.schemas.base import CodedMessage
from wrapper.schemas.data_uri import DataUri, parse_data_uri
from wrapper.services.attachments.media import kind_of, load_bare_file, load_file, load_image
from wrapper.services.turn import Document, Image, Part, ToolCall, ToolResult

LONGEST_URL = 8192
TEXT_PARTS = ("text", "refusal")


def load_part(index: int, part: Any) -> Part:
    """Return the part number *index* as loaded. Raises ValidationError, whose path begins there."""
    if not isinstance(part, dict):
        raise ValidationError({index: ["Not a valid object."]})
    kind = part.get("type")
    try:
        if isinstance(kind, str) and kind in _ANTHROPIC_LOADERS:
            return _ANTHROPIC_LOADERS[kind](part)
        return _load_openai_part(kind, part)
    except ValidationError as error:
        raise ValidationError({index: error.messages}) from None


def _load_openai_part(kind: Any, part: Json) -> Part:
    if not isinstance(kind, str) or kind not in _LOADERS:
        shown = f"{kind[:40]!r}" if isinstance(kind, str) else "this kind"
        message = f"Parts of type {shown} are not supported; use {', '.join(_LOADERS)}."
        raise ValidationError({"type": [CodedMessage(message, "unsupported_value")]})
    value = part.get(kind)
    if not isinstance(value, str if kind in TEXT_PARTS else dict):
        name = "string" if kind in TEXT_PARTS else "object"
        raise ValidationError({kind: [f"Not a valid {name}."]})
    try:
        return _LOADERS[kind](value)
    except ValidationError as error:
        raise ValidationError({kind: error.messages}) from None


def parts_json_schema(*kinds: str) -> Json:
    """Return the JSON Schema of an array that may hold these *kinds* of parts."""
    return {"type": "array", "items": {"oneOf": [_part_json_schema(kind) for kind in kinds]}}


def _part_json_schema(kind: str) -> Json:
    of_type = {"type": {"type": "string", "const": kind}}
    if schema := _ANTHROPIC_JSON_SCHEMAS.get(kind):
        required = ["type", *schema["required"]]
        return {**schema, "properties": {**of_type, **schema["properties"]}, "required": required}
    properties = {**of_type, kind: _JSON_SCHEMAS[kind]}
    return {"type": "object", "properties": properties, "required": ["type", kind]}


def _load_text(text: str) -> str:
    return text


def load_image_url(value: Json) -> Image | Document:
    """Return the image at `url` of *value*; a data URI may hold a document instead."""
    url = value.get("url")
    if not isinstance(url, str):
        raise ValidationError({"url": ["Not a valid string."]})
    if uri := parse_data_uri(url):
        return _image_of(uri)
    # The model's API fetches the URL. If this server did, a client could reach into its network.
    if not _is_web_url(url):
        message = (
            f"Must be an http or https URL of at most {LONGEST_URL} characters, or "
            "data:image/png;base64,…."
        )
        raise ValidationError({"url": [CodedMessage(message, "invalid_image_url")]})
    return Image(url=url)


def _is_web_url(url: str) -> bool:
    # The length comes first, as urlsplit caches its argument.
    if len(url) > LONGEST_URL or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme.lower() in ("http", "https") and bool(parts.netloc)


def _image_of(uri: DataUri) -> Image | Document:
    try:
        if uri.in_base64:
            return load_image(uri.media_type, uri.data)
        content = uri.content()
        if kind_of(content):
            return load_image(uri.media_type, base64.b64encode(content).decode())
    except ValueError as error:
        message = f"The image is not usable: {error}."
        raise ValidationError({"url": [CodedMessage(message, "invalid_image")]}) from None
    message = "Must be in base64: data:image/png;base64,…."
    raise ValidationError({"url": [CodedMessage(message, "invalid_image_url")]})


def load_file_data(value: Json) -> Document:
    """Return the file in `file_data` of *value*, with its `filename` as its title."""
    if value.get("file_id") is not None:
        message = "Requests cannot refer to uploaded files; send the file as file_data."
        raise ValidationError({"file_id": [CodedMessage(message, "unsupported_value")]})
    title, data = value.get("filename"), value.get("file_data")
    if title is not None and not isinstance(title, str):
        raise ValidationError({"filename": ["Not a valid string."]})
    if not isinstance(data, str):
        raise ValidationError({"file_data": ["Not a valid string."]})
    document = _document_of(data, title or "")
    if not document.data.strip():
        raise ValidationError({"file_data": [CodedMessage("Must not be blank.", "invalid_file")]})
    return document


def _document_of(data: str, title: str) -> Document:
    uri = parse_data_uri(data)
    if not uri:
        return load_bare_file(data, title)
    try:
        return load_file(uri.media_type, uri.content(), title)
    except ValueError as error:
        raise ValidationError(
            {"file_data": [CodedMessage(f"The file is not usable: {error}.", "invalid_file")]}
        ) from None


def _text_of(value: Json, key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text:
        raise ValidationError({key: ["Not a valid string."]})
    return text


def _load_anthropic_image(part: Json) -> Part:
    source = part.get("source")
    if not isinstance(source, dict) or source.get("type") not in ("base64", "url"):
        raise ValidationError({"source": ["Not a valid source of type base64 or url."]})
    try:
        if source["type"] == "url":
            return load_image_url({"url": _text_of(source, "url")})
        label, data = _text_of(source, "media_type"), _text_of(source, "data")
        return load_image_url({"url": f"data:{label};base64,{data}"})
    except ValidationError as error:
        raise ValidationError({"source": error.messages}) from None


def _load_anthropic_document(part: Json) -> Part:
    source = part.get("source")
    source = source if isinstance(source, dict) else {}
    if source.get("type") not in ("base64", "text"):
        why = "Only documents of the source types base64 and text are supported."
        raise ValidationError({"source": {"type": [CodedMessage(why, "unsupported_value")]}})
    try:
        data = _text_of(source, "data")
        if source["type"] == "text":
            return load_file_data({"file_data": data, "filename": part.get("title")})
        uri = f"data:{_text_of(source, 'media_type')};base64,{data}"
        return load_file_data({"file_data": uri, "filename": part.get("title")})
    except ValidationError as error:
        raise ValidationError({"source": error.messages}) from None


def _load_tool_use(part: Json) -> Part:
    if not isinstance(part.get("input"), dict):
        raise ValidationError({"input": ["Not a valid object."]})
    return ToolCall(_text_of(part, "id"), _text_of(part, "name"), write_exact(part["input"]))


def _load_tool_result(part: Json) -> Part:
    content = part.get("content")
    if content is None or isinstance(content, str):
        return ToolResult(_text_of(part, "tool_use_id"), (content,) if content else ())
    if not isinstance(content, list):
        raise ValidationError({"content": ["Not a valid string or array of parts."]})
    try:
        parts = tuple(load_part(index, item) for index, item in enumerate(content))
    except ValidationError as error:
        raise ValidationError({"content": error.messages}) from None
    accepted = tuple(item for item in parts if isinstance(item, (str, Image)))
    if len(accepted) < len(parts):
        raise ValidationError({"content": ["Tool results may hold only texts and images."]})
    return ToolResult(_text_of(part, "tool_use_id"), accepted)


# Parts in the form of Anthropic's API.
_ANTHROPIC_LOADERS: Mapping[str, Callable[[Json], Part]] = {
    "image": _load_anthropic_image,
    "document": _load_anthropic_document,
    "tool_use": _load_tool_use,
    "tool_result": _load_tool_result,
}
_NONEMPTY: Json = {"type": "string", "minLength": 1}
_ANTHROPIC_JSON_SCHEMAS: Mapping[str, Json] = {
    "document": {
        "type": "object",
        "properties": {
            "title": {"type": ["string", "null"]},
            "source": {
                "type": "object",
                "properties": {
                    "type": {"enum": ["base64", "text"]},
                    "media_type": {"type": "string"},
                    "data": _NONEMPTY,
                },
                "required": ["type", "data"],
            },
        },
        "required": ["source"],
    },
    "image": {
        "type": "object",
        "properties": {
            "source": {
                "type": "object",
                "properties": {"type": {"enum": ["base64", "url"]}},
                "required": ["type"],
            }
        },
        "required": ["source"],
    },
    "tool_use": {
        "type": "object",
        "properties": {"id": _NONEMPTY, "name": _NONEMPTY, "input": {"type": "object"}},
        "required": ["id", "name", "input"],
    },
    "tool_result": {
        "type": "object",
        "properties": {
            "tool_use_id": _NONEMPTY,
            "content": {"type": ["string", "array", "null"], "items": {"type": "object"}},
        },
        "required": ["tool_use_id"],
    },
}
_LOADERS: Mapping[str, Callable[[Any], Part]] = {
    "text": _load_text,
    "refusal": _load_text,
    "image_url": load_image_url,
    "file": load_file_data,
}
_JSON_SCHEMAS: Mapping[str, Json] = {
    "text": {"type": "string"},
    "refusal": {"type": "string"},
    "image_url": {
        "type": "object",
        "properties": {
            "url": {
                "type": "string",
                "description": "data:image/png;base64,… (or jpeg, gif, webp), or an http or https "
                "URL, which the model's API fetches.",
            }
        },
        "required": ["url"],
    },
    "file": {
        "type": "object",
        "properties": {
            "file_data": {
                "type": "string",
                "pattern": r"\S",
                "description": "A data URI of application/pdf or text/*, or plain text.",
            },
            "filename": {"type": ["string", "null"]},
            "file_id": {"type": "null"},
        },
        "required": ["file_data"],
    },
}
