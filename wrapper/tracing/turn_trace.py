"""The trace of a request's turns: notes events as they come, and makes spans of them at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from wrapper.errors import ClientGone
from wrapper.services.events import Event
from wrapper.services.turn import Turn
from wrapper.services.turns.request_log import facts_of_error
from wrapper.tracing import conventions
from wrapper.tracing.content import Content
from wrapper.tracing.conventions import ERROR, OWN, Attributes
from wrapper.tracing.request_span import OtelRequestSpan
from wrapper.tracing.turn_record import Texts, ToolRecord, TurnRecord

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Style:
    """How spans are made: the name of the `provider`, and the `content` if it may be shown."""

    provider: str
    content: Content | None = None


@dataclass(frozen=True)
class _Failure:
    """Why the turns that have not ended failed."""

    code: str
    description: str


class OtelTurnTrace:
    """The spans below the one of *root*. With *ends* that one ends with them. See TurnTrace."""

    def __init__(self, tracer: Tracer, root: OtelRequestSpan, style: Style, *, ends: bool):
        self._tracer = tracer
        self._root = root
        self._style = style
        self._ends = ends
        self._stream = False
        self._queued: tuple[int, int] | None = None
        self._turns: list[TurnRecord] = []
        self._closed = False

    @property
    def ids(self) -> Mapping[str, str]:
        return self._root.ids

    @property
    def headers(self) -> Mapping[str, str]:
        return self._root.headers

    @contextmanager
    def queueing(self) -> Iterator[None]:
        began = time.time_ns()
        try:
            yield
        finally:
            self._queued = began, time.time_ns()

    def begin(self, turns: Sequence[Turn], *, stream: bool) -> None:
        self._stream = stream
        began, shows = time.time_ns(), self._style.content is not None
        self._turns = [TurnRecord(turn, began, Texts() if shows else None) for turn in turns]

    def add(self, index: int, event: Event) -> None:
        self._turns[index].add(event, time.time_ns())

    def close(self, outcome: str, error: Exception | None = None) -> None:
        if self._closed:
            return
        self._closed = True
        now = time.time_ns()
        below = trace.set_span_in_context(self._root.span, Context())
        if self._queued:
            self._span("queue", below, *self._queued, {})
        failure = self._failure(outcome, error)
        for record in self._turns:
            self._turn_spans(record, below, now, failure)
        self._root.conclude(outcome)
        if self._ends:
            self._root.end()

    def _turn_spans(
        self, record: TurnRecord, below: Context, now: int, failure: _Failure | None
    ) -> None:
        turn = record.turn
        span = self._tracer.start_span(
            conventions.turn_name(turn),
            context=below,
            kind=SpanKind.INTERNAL if turn.profile == "agent" else SpanKind.CLIENT,
            attributes=conventions.turn_attributes(turn, self._style.provider, stream=self._stream),
            start_time=record.began,
        )
        span.set_attributes(self._outcome_of(record))
        if failure and record.ending is None:
            span.set_attribute(ERROR, failure.code)
            span.set_status(Status(StatusCode.ERROR, failure.description))
        inside = trace.set_span_in_context(span, Context())
        self._lease_span(record, inside)
        for tool in record.tools:
            self._tool_span(record, tool, inside)
        span.end(record.ended or now)

    def _outcome_of(self, record: TurnRecord) -> Attributes:
        attributes = conventions.answer_attributes(record.started, record.ending)
        attributes |= conventions.usage_attributes(record.usage, record.cost_usd)
        if self._stream and record.first:
            seconds = (record.first - record.began) / NANOSECONDS
            attributes["gen_ai.response.time_to_first_chunk"] = seconds
        if record.omitted:
            attributes[f"{OWN}.tools_omitted"] = record.omitted
        content, texts = self._style.content, record.texts
        if content and texts:
            reason = attributes.get("gen_ai.response.finish_reasons", ["error"])[0]
            attributes |= content.of_prompt(record.turn) | content.of_answer(texts.answer, reason)
        return attributes

    def _lease_span(self, record: TurnRecord, below: Context) -> None:
        acquired = record.started.acquisition if record.started else None
        if acquired:
            end = record.began + round(acquired.lease * NANOSECONDS)
            attributes = conventions.lease_attributes(acquired)
            self._span("lease", below, record.began, end, attributes)

    def _tool_span(self, record: TurnRecord, tool: ToolRecord, below: Context) -> None:
        used = tool.used
        attributes = conventions.tool_attributes(used)
        if content := self._style.content:
            arguments = record.texts.arguments.get(used.id, "") if record.texts else ""
            attributes |= content.of_tool(arguments, used.output)
        began = tool.ended - round(used.seconds * NANOSECONDS)
        name = f"execute_tool {conventions.tool_name(used)}"
        self._span(name, below, began, tool.ended, attributes)

    def _span(
        self, name: str, below: Context, began: int, ended: int, attributes: Attributes
    ) -> None:
        span = self._tracer.start_span(name, context=below, attributes=attributes, start_time=began)
        if ERROR in attributes:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    def _failure(self, outcome: str, error: Exception | None) -> _Failure | None:
        if error is None or isinstance(error, ClientGone):
            return None
        redacted = facts_of_error(error)["error"]
        content = self._style.content
        return _Failure(outcome, content.text(str(redacted.value)) if content else str(redacted))
