"""The limit on a turn's rounds of tool use."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from wrapper.services.claude.protocol.initialize import last_round
from wrapper.services.claude.protocol.turn_parser import TurnParser
from wrapper.services.turn import Turn

ANSWER_SECONDS = 2.0
POLL_SECONDS = 0.001


class RoundLimit:
    """Ends *turn* after its last round of tool use, or when its key's budget is spent."""

    def __init__(self, turn: Turn, parser: TurnParser):
        self._turn = turn
        self._parser = parser
        self._rounds = 0

    async def end_round(self, *_: object) -> dict[str, Any]:
        """Answer the hook that Claude Code calls after each round, before it asks the model again.

        It waits for the end of the model's answer, since its usage is not known before.
        """
        self._rounds += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                while self._parser.answering:
                    await asyncio.sleep(POLL_SECONDS)
        lacking = self._lacking()
        if not lacking:
            return {}
        self._parser.exhaust(lacking)
        return {"continue": False, "stopReason": f"there is no more of: {lacking}"}

    def _lacking(self) -> str:
        """Return what the turn has used up, empty if it may ask the model again."""
        limit = last_round(self._turn)
        if limit is not None and self._rounds >= limit:
            return "max_turns"
        return "" if self._turn.may_go_on() else "budget"
