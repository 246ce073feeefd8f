"""The span of a request."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode

from wrapper.tracing.conventions import ERROR, OUTCOME
from wrapper.tracing.trace_context import headers_of


class OtelRequestSpan:
    """The span of one request, which is the parent of all others. See RequestSpan."""

    def __init__(self, span: Span):
        self.span = span

    @property
    def ids(self) -> Mapping[str, str]:
        context = self.span.get_span_context()
        return {
            "trace_id": trace.format_trace_id(context.trace_id),
            "span_id": trace.format_span_id(context.span_id),
        }

    @property
    def headers(self) -> Mapping[str, str]:
        return headers_of(self.span)

    def conclude(self, outcome: str) -> None:
        self._set({OUTCOME: outcome})

    def end(self, status: int | None = None) -> None:
        if not self.span.is_recording():
            return
        if status is not None:
            self._set({"http.response.status_code": status})
            if status >= 500:
                self._set({ERROR: str(status)})
                self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()

    def _set(self, attributes: Mapping[str, str | int]) -> None:
        if self.span.is_recording():
            self.span.set_attributes(attributes)
