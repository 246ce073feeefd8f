"""Traces by OpenTelemetry, if its SDK is installed and there is somewhere to send them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from wrapper.services.telemetry.traces import NullTraces, Traces


def open_traces(environment: Mapping[str, str], *, prompts: bool) -> Traces:
    """Return the traces, which are configured by OpenTelemetry's own variables in *environment*.

    They contain what callers, models and tools say only with *prompts*.
    """
    if importlib.util.find_spec("opentelemetry") is None:
        return NullTraces()
    if importlib.util.find_spec("opentelemetry.sdk") is None:
        return NullTraces()
    from wrapper.tracing.traces import OtelTraces

    return OtelTraces(environment, prompts=prompts)
