"""The text of a turn's answer, and what stands beside an answer that must fit a schema."""

from __future__ import annotations

from collections.abc import Sequence

from wrapper.services.claude.protocol.stop_sequences import StopCutter


class AnswerText:
    """The text of an answer, up to the first stop sequence.

    `unfinished` says whether the last message has text but no stop reason yet.
    """

    def __init__(self, stops: Sequence[str]):
        self._cutter = StopCutter(stops)
        self._has_text = False
        self._needs_separator = False
        self.unfinished = False

    @property
    def cut(self) -> bool:
        """Say whether a stop sequence has ended the text."""
        return self._cutter.hit

    def start_message(self) -> None:
        """Begin another message of the turn."""
        self.unfinished = False
        self._needs_separator = self._has_text

    def feed(self, text: str) -> str:
        """Return the text that is certain to stand before every stop sequence.

        A blank line separates the text before a tool was used from the text after it. The model did
        not write it, so it is no part of a stop sequence.
        """
        if not text or self.cut:
            return ""
        before = self._cutter.rest() + "\n\n" if self._needs_separator else ""
        self._needs_separator = False
        self._has_text = self.unfinished = True
        return before + self._cutter.feed(text)

    def end_message(self, reason: str | None) -> None:
        """Record the message's stop *reason*, which is None where the API broke off."""
        self.unfinished = self.unfinished and not reason

    def rest(self) -> str:
        """Return the text that was held back, once, when no more text comes."""
        return self._cutter.rest()


class StructuredAnswer:
    """An answer that must fit a schema: the model gives it as the input of *tool*.

    An agent has no such *tool* (it is empty): Claude Code brings its own, and reports the answer
    in its result.
    """

    def __init__(self, tool: str):
        self.tool = tool
        self.given = False  # whether the model has called the tool
        self._text = ""  # beside the tool, in this message
        self._first_text = ""

    def start_message(self) -> None:
        self._text = ""

    def add_text(self, text: str) -> None:
        self._text += text

    def end_message(self, reason: str | None) -> str:
        """Return the text of a message that the model ended without calling the tool.

        It may be the answer all the same. Claude Code asks an agent again then, so that the
        first such text is kept until the turn ends.
        """
        if reason != "end_turn" or self.given:
            return ""
        if self.tool:
            return self._text
        self._first_text = self._first_text or self._text
        return ""

    def first_text(self) -> str:
        """Return the first text that an agent ended a message with, if it holds any word."""
        return self._first_text if self._first_text.strip() else ""
