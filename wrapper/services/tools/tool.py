"""The tools that the engine offers to the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

CLAUDE_CODE = "claude_code"
# Before the name of an MCP server.
MCP_ORIGIN = "mcp:"


@dataclass(frozen=True)
class Tool:
    """A tool as the model gets it, or a subagent or skill under its name in permission rules.

    `origin` is claude_code, mcp:NAME for an MCP server's, subagent, skill or command.
    """

    name: str
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    origin: str = CLAUDE_CODE


@runtime_checkable
class OffersTools(Protocol):
    """An engine whose agents have tools of its own."""

    def tools(self) -> tuple[Tool, ...]:
        """Return the tools that an agent's model gets; may take seconds. Raises ApiError."""
        ...
