"""Examine JSON texts before and while they are parsed."""

from __future__ import annotations

from typing import Any

# A JSON object, parsed or to be written.
Json = dict[str, Any]
Bytes = bytes | bytearray
