"""Count what subagents use, while they run: Claude Code's result has it only at a turn's end."""

from __future__ import annotations

from typing import Any

from wrapper.services.spent import Usage, sum_usage

Raw = dict[str, Any]
_COUNTS = {
    "input": "input_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_creation": "cache_creation_input_tokens",
    "output": "output_tokens",
}
MOST = 10**12


class SubagentUsage:
    """Follows the frames of one turn. `requests` are those that subagents' messages answer.

    Claude Code reports a message of a subagent only if it uses a tool. So the last one of each
    subagent, which has its report, is missing.
    """

    def __init__(self) -> None:
        self._by_message: dict[tuple[str, str], Usage] = {}

    @property
    def requests(self) -> int:
        return len(self._by_message)

    @property
    def usage(self) -> Usage:
        return sum_usage(self._by_message.values())

    def read(self, frame: Raw) -> None:
        """Take note of the usage that *frame* reports."""
        parent = frame.get("parent_tool_use_id")
        if frame["type"] != "assistant" or not parent:
            return
        message = frame["message"]
        counts = message.get("usage") or {}
        usage = Usage(**{name: _count(counts.get(own)) for name, own in _COUNTS.items()})
        self._by_message[str(parent), str(message.get("id"))] = usage


def _count(number: Any) -> int:
    """Return *number*, or 0 if it is no count: the turn's result is checked strictly."""
    return number if type(number) is int and 0 <= number <= MOST else 0
