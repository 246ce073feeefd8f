"""An OpenAI-compatible gateway that lets Claude Code answer.

These are the public names of the package `wrapper`, which has the code. Unlike that name, this one
does not get lost if your own directory has a `wrapper.py`.
"""

import claude_code_gateway._precedence  # noqa: F401 - before the next import
from wrapper import (
    ApiError,
    Caller,
    Gateway,
    Principal,
    Settings,
    __version__,
    create_app,
    turn_finished,
    turn_started,
)

__all__ = [
    "ApiError",
    "Caller",
    "Gateway",
    "Principal",
    "Settings",
    "__version__",
    "create_app",
    "turn_finished",
    "turn_started",
]
