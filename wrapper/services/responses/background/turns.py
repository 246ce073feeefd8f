"""The protocol of what runs the turns of responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, Self

from wrapper.notes import Notes
from wrapper.services.events import Event
from wrapper.services.messages.answer import Answer
from wrapper.services.principal import Caller
from wrapper.services.request import TurnRequest


class CheckedTurn(Protocol):
    """What is known of a turn before it runs: its model, and what the client learns about it."""

    @property
    def model(self) -> str: ...

    @property
    def notes(self) -> Notes: ...


class OpenedRun(Protocol):
    """The events of a request's turns, which run. It must be closed, as by the end of a `with`."""

    def __iter__(self) -> Iterator[tuple[int, Event] | None]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None: ...


class Turns(Protocol):
    """Runs turns; see TurnService. Both methods raise ApiError."""

    def check(self, request: TurnRequest, caller: Caller) -> CheckedTurn:
        """Check a request that is to run later."""
        ...

    def open(
        self, request: TurnRequest, caller: Caller, remember: Callable[[Answer], None]
    ) -> OpenedRun:
        """Check a request, and run its turns. *remember* keeps the answer."""
        ...
