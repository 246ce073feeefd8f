"""What callers, models and tools say, as attributes of spans: only with LOG_PROMPTS."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from wrapper.logs.formatting import MASK
from wrapper.services.events import Event, RawEvent, TextDelta
from wrapper.services.turn import Turn
from wrapper.services.turns.request_log import conversation_of

# As many spans as the queue holds may wait for a collector that does not answer.
LONGEST_TEXT = 10_000


class Content:
    """Makes attributes of texts, in which *secrets* are masked.

    Each has LONGEST_TEXT characters at most. Of a conversation the last messages are kept.
    """

    def __init__(self, secrets: Iterable[str]):
        self._secrets = sorted(secrets, key=len, reverse=True)

    def of_prompt(self, turn: Turn) -> dict[str, str]:
        """Return the conversation that the model gets, in the form of the conventions."""
        attributes = {"gen_ai.input.messages": json.dumps(self._messages(turn))}
        if turn.system:
            attributes["gen_ai.system_instructions"] = json.dumps(self._parts([turn.system]))
        return attributes

    def of_answer(self, text: str, reason: str) -> dict[str, str]:
        """Return the model's answer, which ended for *reason*."""
        message = {"role": "assistant", "parts": self._parts([text]), "finish_reason": reason}
        return {"gen_ai.output.messages": json.dumps([message])}

    def of_tool(self, arguments: str, result: str) -> dict[str, str]:
        """Return what a tool was called with, and what it returned, if these are known."""
        texts = {"gen_ai.tool.call.arguments": arguments, "gen_ai.tool.call.result": result}
        return {name: self.text(text) for name, text in texts.items() if text}

    def text(self, text: str) -> str:
        """Return *text* without secrets, and not too long."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text[:LONGEST_TEXT]

    def _messages(self, turn: Turn) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        left = LONGEST_TEXT
        for role, *texts in reversed([*conversation_of(turn)]):
            left -= sum(map(len, texts))
            if messages and left < 0:
                break
            messages.insert(0, {"role": role, "parts": self._parts(texts)})
        return messages

    def _parts(self, texts: Iterable[str]) -> list[Mapping[str, str]]:
        return [{"type": "text", "content": self.text(text)} for text in texts]


def answered(event: Event) -> str:
    """Return the text that *event* adds to the answer."""
    if isinstance(event, TextDelta):
        return event.text
    if isinstance(event, RawEvent):
        delta: Any = event.data.get("delta")
        return str(delta.get("text", "")) if isinstance(delta, Mapping) else ""
    return ""
