"""A gateway whose spans stay in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from wrapper import create_app
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, answer
from wrapper.tracing import traces


class Spans:
    """The spans that a gateway has made, in the order in which they ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def all(self) -> list[Any]:
        return list(self._exporter.get_finished_spans())

    def names(self) -> list[str]:
        return [span.name for span in self.all()]

    def one(self, name: str) -> Any:
        """Return the one span whose name begins with *name*."""
        (span,) = [span for span in self.all() if span.name.startswith(name)]
        return span

    def text(self) -> str:
        """Return all that the spans say."""
        return "".join(span.to_json() for span in self.all())


class TracedGateway:
    """A gateway with a scripted engine, and its clients. *provider* takes its spans."""

    def __init__(self, spans: Spans, script: Callable[[Any], Any] | None, settings: dict[str, Any]):
        self.spans = spans
        self.engine = ScriptedEngine(script or (lambda turn: answer("Hello.")))
        self.app = create_app(
            Settings(**{"default_profile": "plain", **settings}), engine=self.engine
        )
        self.gateway = self.app.extensions["wrapper"]

    def ask(self, text: str = "Hello?", headers: dict[str, str] | None = None, **body: Any) -> Any:
        """Return the response to a chat completion, which has been read to its end."""
        messages = [{"role": "user", "content": text}]
        body = {"model": "haiku", "messages": messages, **body}
        with self.app.test_client() as client:
            response = client.post("/v1/chat/completions", json=body, headers=headers)
            response.get_data()
            response.close()
        return response


@contextmanager
def traced(script: Callable[[Any], Any] | None = None, **settings: Any) -> Iterator[TracedGateway]:
    """Yield a gateway whose app has set a provider that keeps spans."""
    spans = Spans()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traces, "app_provider", lambda: spans.provider)
        made = TracedGateway(spans, script, settings)
        yield made
        made.gateway.close()
    spans.provider.shutdown()
