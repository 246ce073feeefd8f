"""The approval: one use of a tool that waits for a decision, and that decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Outcome = Literal["approved", "denied", "expired", "withdrawn"]
Scope = Literal["once", "session"]
Kind = Literal["tool", "question", "elicitation"]


@dataclass(frozen=True)
class ToolRequest:
    """A use of a tool that the engine may not allow by itself, or a question to the turn's owner.

    An `elicitation` is a question of an MCP server: the `tool` stands for the server.
    """

    tool: str
    input: Mapping[str, Any]
    kind: Kind = "tool"


@dataclass(frozen=True)
class Decision:
    """How a tool request ended. `reason` is for the model, and `by` names the key that decided.

    `expired`: nobody decided in time. `withdrawn`: its turn has ended. With the scope `session`,
    later equal requests of the session are approved, too. `answers` are those to a question.
    """

    outcome: Outcome
    scope: Scope = "once"
    reason: str = ""
    by: str = ""
    answers: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def allowed(self) -> bool:
        """Say whether the tool may run."""
        return self.outcome == "approved"


@dataclass(frozen=True)
class Asker:
    """The turn that asks: the key that owns it, its request and its session, if it has one.

    With a `response_id` the turn has ended, with a call that the next request may run.
    """

    owner: str
    request_id: str = ""
    session_id: str | None = None
    response_id: str | None = None


@dataclass(frozen=True)
class Approval:
    """A tool request that waits for a decision, or has one. Times are in Unix seconds.

    `preview` shows what would run. `session_rule` is what the scope `session` would approve.
    `answer_schema` is the JSON Schema of the answers that a question asks for.
    """

    id: str
    asker: Asker
    tool: str
    input: Mapping[str, Any] = field(repr=False)
    preview: str = field(repr=False)
    session_rule: str = field(repr=False)
    created: float
    expires: float
    kind: Kind = "tool"
    answer_schema: Mapping[str, Any] | None = field(default=None, repr=False)
    decision: Decision | None = None

    @property
    def status(self) -> str:
        """Return `pending`, or how it ended."""
        return self.decision.outcome if self.decision else "pending"


class Approver(Protocol):
    """Asks the owner of a turn whether its tools may run."""

    async def ask(self, request: ToolRequest) -> Decision:
        """Wait for the decision. If this is cancelled the approval is withdrawn."""
        ...

    async def close(self) -> None:
        """Stop what `ask` has begun, once its calls have ended or were cancelled."""
        ...
