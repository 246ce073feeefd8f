"""The protocols of traces: the span of each request, and what happens in its turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from wrapper.services.events import Event
from wrapper.services.turn import Turn


class Headers(Protocol):
    """The headers of a request, whatever the case of their names."""

    def get(self, key: str, default: str, /) -> str: ...


class RequestSpan(Protocol):
    """The span of one request, which has begun. It must be ended; doing so twice is harmless."""

    @property
    def ids(self) -> Mapping[str, str]:
        """Return the ids of the trace and of the span, by their names in log lines."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the headers by which another server continues the trace."""
        ...

    def conclude(self, outcome: str) -> None:
        """Note how the request ended: done, client_gone or the code of an error."""
        ...

    def end(self, status: int | None = None) -> None:
        """End the span; *status* is that of the response."""
        ...


class TurnTrace(Protocol):
    """The spans below that of a request: its wait for admission, and its turns with their tools.

    It must be closed.
    """

    @property
    def ids(self) -> Mapping[str, str]:
        """Return the ids of the request's span; see RequestSpan."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the headers by which another server continues the trace."""
        ...

    def queueing(self) -> AbstractContextManager[None]:
        """Measure the wait for admission, also where the request is refused."""
        ...

    def begin(self, turns: Sequence[Turn], *, stream: bool) -> None:
        """Note that *turns* are about to run, and whether the client gets them as a stream."""
        ...

    def add(self, index: int, event: Event) -> None:
        """Note an event of one of the turns, at the time when it comes."""
        ...

    def close(self, outcome: str, error: Exception | None = None) -> None:
        """Pass on what was noted. *outcome* is done, client_gone or the code of *error*."""
        ...


class Traces(Protocol):
    """Makes the spans of requests, and sends them to a collector without making anyone wait."""

    def start(self) -> None:
        """Begin to make spans. Nobody may fork after that."""
        ...

    @property
    def enabled(self) -> bool:
        """Say whether requests are traced."""
        ...

    def request(self, name: str, facts: Mapping[str, str], headers: Headers) -> RequestSpan:
        """Begin the span of an HTTP request with *headers*, which may name the caller's trace.

        *facts* describe it, by their names in OpenTelemetry's conventions.
        """
        ...

    def turns(self, span: RequestSpan | None) -> TurnTrace:
        """Return the trace of the turns of the request with *span*.

        Without one it makes a span, which ends with the turns.
        """
        ...

    def close(self) -> None:
        """Send what is left, and wait only a moment for that."""
        ...


@dataclass(frozen=True)
class NullTrace:
    """The span of a request that is not traced, and the trace of its turns."""

    ids: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def conclude(self, outcome: str) -> None: ...

    def end(self, status: int | None = None) -> None: ...

    def queueing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def begin(self, turns: Sequence[Turn], *, stream: bool) -> None: ...

    def add(self, index: int, event: Event) -> None: ...

    def close(self, outcome: str, error: Exception | None = None) -> None: ...


NULL_TRACE = NullTrace()


class NullTraces:
    """Makes no spans."""

    @property
    def enabled(self) -> bool:
        return False

    def start(self) -> None: ...

    def request(self, name: str, facts: Mapping[str, str], headers: Headers) -> NullTrace:
        return NULL_TRACE

    def turns(self, span: RequestSpan | None) -> NullTrace:
        return NULL_TRACE

    def close(self) -> None: ...
