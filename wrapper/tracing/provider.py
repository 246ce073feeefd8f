"""The tracer provider: that of the app around the gateway, or one that exports by OTLP."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_SDK_DISABLED,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from wrapper.ids import new_id
from wrapper.version import __version__

SERVICE = "claude-code-gateway"
# The SDK has no name for it.
OTEL_TRACES_EXPORTER = "OTEL_TRACES_EXPORTER"
PROTOCOL = "http/protobuf"
# How long the end of the gateway waits for a collector that does not answer.
FLUSH_SECONDS = 1.5

log = logging.getLogger(__name__)


def is_disabled(environment: Mapping[str, str]) -> bool:
    """Say whether the operator has turned OpenTelemetry off."""
    return environment.get(OTEL_SDK_DISABLED, "").strip().lower() == "true"


def app_provider() -> trace.TracerProvider | None:
    """Return the provider that the app around the gateway has set, if it has set one."""
    provider = trace.get_tracer_provider()
    return None if isinstance(provider, trace.ProxyTracerProvider) else provider


def exporting_provider(environment: Mapping[str, str]) -> TracerProvider | None:
    """Return a provider that exports as *environment* says, or None if it names no collector.

    If that is wrong, the log says so, and there are no traces. Its thread does not survive a fork.
    """
    if not _exports(environment):
        return None
    try:
        return _provider()
    except ImportError:
        log.error("No traces: run pip install 'claude-code-gateway[otel]' for the exporter.")
    except (ValueError, OSError) as error:
        log.error("No traces: one of the variables OTEL_* is wrong: %s", error)
    return None


def shut_down(provider: TracerProvider) -> None:
    """Export what is left, for FLUSH_SECONDS at most."""
    thread = threading.Thread(target=provider.shutdown, name="flush-traces", daemon=True)
    thread.start()
    thread.join(FLUSH_SECONDS)
    if thread.is_alive():
        log.warning("The collector of traces does not answer; the last traces are lost.")


def _exports(environment: Mapping[str, str]) -> bool:
    exporters = environment.get(OTEL_TRACES_EXPORTER, "").strip().lower()
    endpoints = (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT)
    if exporters not in ("", "otlp"):
        if exporters != "none":
            log.warning("%s: %s is not supported; use otlp", OTEL_TRACES_EXPORTER, exporters)
        return False
    if not exporters and not any(environment.get(name) for name in endpoints):
        return False
    for name in (OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL):
        if protocol := environment.get(name):
            if protocol != PROTOCOL:
                log.warning("%s: %s is not supported; %s is used", name, protocol, PROTOCOL)
            break
    return True


def _provider() -> TracerProvider:
    # Imported here: an app that brings a provider needs no exporter.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    # At the exit of Python it would wait as long as the exporter likes.
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _resource() -> Resource:
    """Return what describes this process; the operator's own variables win."""
    own = {"service.name": SERVICE, "service.version": __version__}
    own["service.instance.id"] = new_id("")
    return Resource.create({**own, **OTELResourceDetector().detect().attributes})
