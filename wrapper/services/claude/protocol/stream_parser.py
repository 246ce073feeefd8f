"""Parse the Messages API stream of a turn's main thread into the turn's events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from wrapper.errors import BadGateway
from wrapper.json_text.precision import is_text_of
from wrapper.services.claude.errors.engine_errors import BROKEN_OFF
from wrapper.services.claude.protocol.answer_text import AnswerText, StructuredAnswer
from wrapper.services.claude.protocol.thinking_reader import ThinkingReader, as_text
from wrapper.services.claude.protocol.tool_blocks import FindAsked, ToolBlocks
from wrapper.services.claude.protocol.turn_parser import CUT_SHORT, ENDINGS, Raw, TurnParser
from wrapper.services.claude.protocol.usage_counter import UsageCounter
from wrapper.services.events import Ending, Event, Started, TextDelta


class StreamParser(TurnParser):
    """Parses the raw events into the turn's events.

    *functions* maps upstream names to the client's names; *find_asked* finds the tools whose calls
    the client must approve. *answer_tool* is the tool whose input is
    the answer, in place of text; it is empty where Claude Code reports the answer in its result.
    *prefix* returns the digest for the turn's thinking blocks.
    """

    def __init__(
        self,
        stops: tuple[str, ...],
        functions: Mapping[str, str] = MappingProxyType({}),
        answer_tool: str | None = None,
        usage: UsageCounter | None = None,
        resumed: bool = False,
        prefix: Callable[[], str] = str,
        find_asked: FindAsked = lambda name: None,
    ):
        super().__init__(usage, resumed=resumed)
        self._text = AnswerText(stops)
        self._structured = None if answer_tool is None else StructuredAnswer(answer_tool)
        self._tools = ToolBlocks(functions, self._structured, find_asked)
        self._thinking = ThinkingReader(prefix)

    @property
    def cut(self) -> bool:
        return self._text.cut

    @property
    def called(self) -> bool:
        return self._stop_reason == "calls"

    def read(self, event: Raw) -> Iterator[Event]:
        if self.cut or self.limited:
            self._read_usage(event)
            return
        self._follow_order(event)
        match event.get("type"):
            case "message_start":
                yield from self._start_message(event["message"])
            case "content_block_start":
                yield from self._tools.open(event["content_block"])
                yield from self._thinking.open(event["content_block"])
            case "content_block_stop":
                yield from self._tools.close()
                yield from self._thinking.close()
            case "content_block_delta":
                yield from self._read_delta(event["delta"])
            case "message_delta":
                yield from self._end_message(event)

    def rest(self, result: Raw | None) -> Iterator[Event]:
        if (output := (result or {}).get("structured_output")) is not None:
            return self._answer(output)
        return self._answer_in_words()

    def _answer(self, output: Any) -> Iterator[Event]:
        """Yield the answer that Claude Code's result holds as *output*, and end the turn.

        The text is the model's own where possible: Claude Code may have rounded its numbers.
        """
        self._stop_reason = "end_turn"
        if is_text_of(self._tools.written, output):
            yield TextDelta(self._tools.written)
        else:
            yield TextDelta(json.dumps(output, ensure_ascii=False))

    def _answer_in_words(self) -> Iterator[Event]:
        """Yield the text that an agent ended with, where Claude Code's result has no output.

        Claude Code asks the model again then; the reply to that is no answer to the user.
        """
        text = self._structured.first_text() if self._structured else ""
        if text and self._stop_reason == "end_turn":
            yield TextDelta(text)

    def _ending(self) -> Ending | None:
        return Ending.DONE if self.cut else super()._ending()

    def _start_message(self, message: Raw) -> Iterator[Event]:
        if self._text.unfinished:
            raise BadGateway(f"{BROKEN_OFF} It was asked again, and the turn was ended.")
        is_first = not self.started
        self.usage.start(message)
        self._text.start_message()
        if self._structured:
            self._structured.start_message()
        self._stop_reason = None
        if is_first:
            yield Started(str(message["model"]), self._resumed)
        yield self.usage.used()

    def _read_delta(self, delta: Raw) -> Iterator[Event]:
        match delta.get("type"):
            case "thinking_delta":
                yield from self._thinking.feed(delta.get("thinking"))
            case "signature_delta":
                self._thinking.sign(delta.get("signature"))
            case "input_json_delta":
                yield from self._tools.feed(as_text(delta.get("partial_json") or ""))
            case "text_delta":
                yield from self._read_text(as_text(delta["text"]))

    def _read_text(self, text: str) -> Iterator[Event]:
        if self._structured:
            self._structured.add_text(text)
        elif passed := self._text.feed(text):
            yield TextDelta(passed)

    def _end_message(self, event: Raw) -> Iterator[Event]:
        reason = event["delta"].get("stop_reason")
        self._text.end_message(reason)
        self.usage.stop(event.get("usage"))
        self._stop_reason = self._reason(reason) or self._stop_reason
        rest = self._text.rest() if self._stop_reason in ENDINGS else ""
        if text := rest or (self._structured.end_message(reason) if self._structured else ""):
            yield TextDelta(text)
        self.limited = self._stop_reason in CUT_SHORT
        yield self.usage.used()

    def _reason(self, reason: str | None) -> str | None:
        """Return the stop reason; calls for the client and a structured answer end the turn."""
        if reason == "tool_use" and self._tools.calls:
            return "calls"
        answered = self._structured is not None and self._structured.given
        return "end_turn" if reason == "tool_use" and answered else reason
