"""The user for whom a request of OpenAI's APIs is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The newer parameter comes first, and counts if a request has both.
_PARAMETERS = ("safety_identifier", "user")


def user_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the request that name its user, if it names one."""
    param = next((name for name in _PARAMETERS if data.get(name)), None)
    return {"user": data[param], "user_param": param} if param else {}
