"""Dialects: how each API writes an error, and under which names its clients look for an id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, current_app, request

from wrapper.errors import ApiError
from wrapper.json_text import Json
from wrapper.routes.headers import MESSAGE_REQUEST_ID, REQUEST_ID
from wrapper.schemas.base import SchemaLike
from wrapper.schemas.errors import ErrorSchema, MessageErrorSchema
from wrapper.services.fronts.message_errors import error_body, error_status

_PREFIX = "wrapper_prefix"


@dataclass(frozen=True)
class Dialect:
    """How an API writes an error: its `status` and `body`, which `schema` describes.

    `id_headers` are the headers that carry a request's id.
    """

    status: Callable[[ApiError], int]
    body: Callable[[ApiError, str], Json]
    schema: SchemaLike
    id_headers: tuple[str, ...]


OPENAI = Dialect(
    status=lambda error: error.status,
    body=lambda error, request_id: error.body(),
    schema=ErrorSchema,
    id_headers=(REQUEST_ID,),
)
ANTHROPIC = Dialect(
    status=error_status,
    body=error_body,
    schema=MessageErrorSchema,
    id_headers=(REQUEST_ID, MESSAGE_REQUEST_ID),
)


def dialect_of(path: str, prefix: str) -> Dialect:
    """Return the dialect of the API at *path*; the gateway's paths begin with *prefix*.

    It follows from the path alone, since an error may come before a view is found.
    """
    messages = f"{prefix}/messages"
    return ANTHROPIC if path == messages or path.startswith(f"{messages}/") else OPENAI


def current_dialect() -> Dialect:
    """Return the dialect of the current request."""
    return dialect_of(request.path, prefix_of(current_app))


def set_prefix(app: Flask, prefix: str) -> None:
    """Remember the prefix of the gateway's paths in *app*."""
    app.extensions[_PREFIX] = prefix


def prefix_of(app: Flask) -> str:
    """Return the prefix of the gateway's paths in *app*."""
    return str(app.extensions[_PREFIX])
