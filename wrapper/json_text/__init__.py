"""JSON texts: what must be known of one before or while it is parsed."""

from __future__ import annotations

from typing import Any

# A JSON object, parsed or to be written.
Json = dict[str, Any]
