"""Traces with the SDK of OpenTelemetry; see the protocol Traces."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Tracer

from wrapper.logs.formatting import secrets_of
from wrapper.services.telemetry.traces import NULL_TRACE, Headers, NullTrace, RequestSpan, TurnTrace
from wrapper.tracing.content import Content
from wrapper.tracing.conventions import provider_of
from wrapper.tracing.provider import app_provider, exporting_provider, is_disabled, shut_down
from wrapper.tracing.request_span import OtelRequestSpan
from wrapper.tracing.trace_context import caller_context
from wrapper.tracing.turn_trace import OtelTurnTrace, Style
from wrapper.version import __version__

# The name of the span of a request that the app around the gateway makes without HTTP.
INSIDE = "claude_code_gateway"


class OtelTraces:
    """Makes spans by the conventions for generative AI.

    Spans go to the provider of the app around the gateway, if it has set one by the time of
    `start`, or else to the collector that *environment* names.
    """

    def __init__(self, environment: Mapping[str, str], *, prompts: bool):
        self._environment = environment
        content = Content(secrets_of(environment)) if prompts else None
        self._style = Style(provider_of(environment), content)
        self._own: TracerProvider | None = None
        self._tracer: Tracer | None = None

    def start(self) -> None:
        if is_disabled(self._environment):
            return
        provider = app_provider()
        if provider is None:
            provider = self._own = exporting_provider(self._environment)
        if provider is not None:
            self._tracer = provider.get_tracer("wrapper", __version__)

    @property
    def enabled(self) -> bool:
        return self._tracer is not None

    def request(
        self, name: str, facts: Mapping[str, str], headers: Headers
    ) -> OtelRequestSpan | NullTrace:
        if self._tracer is None:
            return NULL_TRACE
        # An app that traces its requests itself has a span already.
        inside = trace.get_current_span().get_span_context().is_valid
        parent = None if inside else caller_context(headers)
        kind = SpanKind.INTERNAL if inside else SpanKind.SERVER
        return OtelRequestSpan(
            self._tracer.start_span(name, context=parent, kind=kind, attributes=dict(facts))
        )

    def turns(self, span: RequestSpan | None) -> TurnTrace:
        if self._tracer is None:
            return NULL_TRACE
        request = span if isinstance(span, OtelRequestSpan) else None
        root = request or OtelRequestSpan(self._tracer.start_span(INSIDE))
        if not root.span.is_recording():
            return NullTrace(root.ids, root.headers)
        return OtelTurnTrace(self._tracer, root, self._style, ends=request is None)

    def close(self) -> None:
        if self._own:
            shut_down(self._own)
