"""The hooks that Claude Code calls in a turn, by which its limits hold between requests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from wrapper.services.claude.additions import Additions
from wrapper.services.claude.conversation.query import Hook
from wrapper.services.claude.protocol.initialize import last_round
from wrapper.services.claude.protocol.turn_parser import TurnParser
from wrapper.services.turn import Turn

ANSWER_SECONDS = 2.0
POLL_SECONDS = 0.001
SPENT = "The budget is spent, so no subagent can be started."


class TurnHooks:
    """Ends *turn* after its last round of tool use, or when its key's budget is spent.

    Of *additions*, it refuses what a call must not use, and subagents once the budget is spent.
    """

    def __init__(self, turn: Turn, parser: TurnParser, additions: Additions):
        self._turn = turn
        self._parser = parser
        self._additions = additions
        self._rounds = 0

    def by_event(self) -> Mapping[str, Hook]:
        """Return the hooks in the order in which `initialize` names them."""
        return {"PostToolBatch": self._end_round, "PreToolUse": self._check_use}

    async def _end_round(self, *_: object) -> dict[str, Any]:
        """Answer after a round of tool use, before Claude Code asks the model again."""
        self._rounds += 1
        await self._wait_for_usage()
        lacking = self._lacking()
        if not lacking:
            return {}
        self._parser.exhaust(lacking)
        return {"continue": False, "stopReason": f"there is no more of: {lacking}"}

    async def _check_use(self, call: dict[str, Any], *_: object) -> dict[str, Any]:
        """Answer before Claude Code starts a subagent, which asks the model, or uses a skill."""
        why = self._additions.refusal(call)
        if not why and self._additions.starts_subagent(call):
            await self._wait_for_usage()
            why = "" if self._turn.may_go_on() else SPENT
        if not why:
            return {}
        decision = {"permissionDecision": "deny", "permissionDecisionReason": why}
        return {"hookSpecificOutput": {"hookEventName": "PreToolUse", **decision}}

    async def _wait_for_usage(self) -> None:
        """Wait for the end of the model's answer, since its usage is not known before."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                while self._parser.answering:
                    await asyncio.sleep(POLL_SECONDS)

    def _lacking(self) -> str:
        """Return what the turn has used up, empty if it may ask the model again."""
        limit = last_round(self._turn)
        if limit is not None and self._rounds >= limit:
            return "max_turns"
        return "" if self._turn.may_go_on() else "budget"
