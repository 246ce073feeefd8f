"""JSON responses, and the headers that every response has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Flask, Response

from wrapper.json_text.encoding import encode
from wrapper.routes.context import elapsed_ms, request_id, start_timer
from wrapper.routes.dialects import current_dialect
from wrapper.routes.headers import JSON_TYPE, PROCESSING, REQUEST_ID, SECURITY


def reply(data: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] = {}) -> Response:
    """Return a response whose body is *data* as JSON."""
    return Response(encode(data), status, headers, mimetype=JSON_TYPE)


def iso_time(seconds: float | None) -> str | None:
    """Return a time as it stands in JSON: in ISO 8601, by UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def register_common_headers(target: Blueprint | Flask) -> None:
    """Add the common headers to every response of *target*."""
    target.before_request(start_timer)
    target.after_request(add_common_headers)


def add_common_headers(response: Response) -> Response:
    """Add the headers that every response has. A header that the view has set stays."""
    headers = response.headers
    present = {name.lower() for name, _ in headers}
    if REQUEST_ID in present:  # added before, by a blueprint inside of the app
        return response
    for name in current_dialect().id_headers:
        headers.add(name, request_id())
    headers.add(PROCESSING, elapsed_ms())
    for name, value in SECURITY.items():
        if name.lower() not in present:
            headers.add(name, value)
    return response
