"""W3C Trace Context: the headers by which a trace goes on from one server to the next."""

from __future__ import annotations

import re

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from wrapper.services.telemetry.traces import Headers

# The library logs what callers send if it is not as it should be, so that is not passed to it.
_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[ -~]{0,64})?")
_MEMBER = r"[a-z0-9][a-z0-9_*/@-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
_STATE = re.compile(rf"{_MEMBER}([ \t]*,[ \t]*{_MEMBER}){{0,31}}")
LONGEST_STATE = 512

# Baggage is not passed on: it is the caller's, and may be secret.
_PROPAGATOR = TraceContextTextMapPropagator()


def caller_context(headers: Headers) -> Context:
    """Return the caller's trace, which a request's *headers* name; empty if they name none."""
    parent, state = headers.get("traceparent", ""), headers.get("tracestate", "")
    carrier = {}
    if _PARENT.fullmatch(parent):
        carrier["traceparent"] = parent
    if len(state) <= LONGEST_STATE and _STATE.fullmatch(state):
        carrier["tracestate"] = state
    return _PROPAGATOR.extract(carrier, Context())


def headers_of(span: Span) -> dict[str, str]:
    """Return the headers by which another server continues the trace of *span*."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers, trace.set_span_in_context(span, Context()))
    return headers
