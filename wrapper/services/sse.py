"""Server-sent events, as the OpenAI API frames them."""

from __future__ import annotations

import json
from typing import Any

PING = b": ping\n\n"
DONE = b"data: [DONE]\n\n"

_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode(data: dict[str, Any]) -> bytes:
    """Return *data* as one event: a line of JSON and an empty line."""
    return f"data: {_write(data)}\n\n".encode()
