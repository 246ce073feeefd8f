"""JSON responses, and the headers that every response has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Flask, Response

from wrapper.routes.context import elapsed_ms, request_id, start_timer
from wrapper.routes.json_body import JSON_TYPE

# Responses are for the program that asked. A browser must not render, frame or cache them.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
# OpenAI's name for it.
PROCESSING_HEADER = "openai-processing-ms"
PROCESSING_MEANING = "Milliseconds until the answer was ready, or until a stream began."

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def reply(data: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] = {}) -> Response:
    """Return a response whose body is *data* as JSON."""
    return Response(_encode(data), status, headers, mimetype=JSON_TYPE)


def register_common_headers(target: Blueprint | Flask) -> None:
    """Add the common headers to every response of *target*."""
    target.before_request(start_timer)
    target.after_request(add_common_headers)


def add_common_headers(response: Response) -> Response:
    """Add the headers that every response has. A header that the view has set stays."""
    headers = response.headers
    if "x-request-id" in headers:  # added before, by a blueprint inside of the app
        return response
    headers.add("x-request-id", request_id())
    headers.add(PROCESSING_HEADER, elapsed_ms())
    for name, value in SECURITY_HEADERS.items():
        if name not in headers:
            headers.add(name, value)
    return response
