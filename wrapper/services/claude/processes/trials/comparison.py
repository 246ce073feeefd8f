"""Compare the whole requests of two processes: paths, headers and bodies."""

from __future__ import annotations

import json
import re
from typing import Any

from wrapper.services.claude.processes.trials.recorder import Request

# The names of sessions and devices differ between any two processes.
_NAMES = re.compile(rb"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{64}")
_OF_THE_PROCESS = {"x-claude-code-session-id", "content-length", "host"}


def compare(fresh: Request, other: Request) -> str:
    """Return the first difference of the *other* request, or an empty string."""
    if fresh.path != other.path:
        return f"its path is {other.path}"
    headers, others = _headers(fresh), _headers(other)
    for name in sorted({*headers, *others}):
        if headers.get(name) != others.get(name):
            return f"its header {name} differs"
    fields, other_fields = _fields(fresh), _fields(other)
    for name in sorted({*fields, *other_fields}):
        if fields.get(name) != other_fields.get(name):
            return f"its field {name} differs"
    return ""


def _headers(request: Request) -> dict[str, str]:
    lower = {name.lower(): value for name, value in request.headers.items()}
    return {name: value for name, value in lower.items() if name not in _OF_THE_PROCESS}


def _fields(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(_NAMES.sub(b"NAME", request.body))
    except ValueError:
        return {"body": request.body}
    return body if isinstance(body, dict) else {"body": body}
