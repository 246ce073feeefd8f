"""The betas that a client asks for in `anthropic-beta`, and which of them have no effect."""

from __future__ import annotations

import re
from collections.abc import Collection

# What Claude Code 2.1.330 itself sends to Anthropic's API, the last one only with an effort. Only a
# variable of the process can add to it.
SENT = (
    *("claude-code-20250219", "interleaved-thinking-2025-05-14", "context-management-2025-06-27"),
    *("thinking-token-count-2026-05-13", "effort-2025-11-24"),
)
MOST_NAMED = 20
_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)


def ignored_betas(header: str, added: Collection[str]) -> tuple[str, ...]:
    """Return the notes for the betas in *header* that are neither SENT nor *added* to them.

    A value that is no name of a beta has no effect either, but it is not repeated.
    """
    asked = dict.fromkeys(value.strip() for value in header.split(",") if value.strip())
    ignored = [value for value in asked if value not in SENT and value not in added]
    named = [value if _NAME.fullmatch(value) else "?" for value in ignored[:MOST_NAMED]]
    more = ["..."] if len(ignored) > MOST_NAMED else []
    return tuple(f"anthropic-beta: {value}" for value in dict.fromkeys((*named, *more)))
